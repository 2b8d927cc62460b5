"""Write `report/`: report.html (one file, alone), report.md, tables.tex, model_card.md, and every figure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from analysis.report.card import model_card
from analysis.report.form.blocks import Picture
from analysis.report.form.rendering import as_html, as_markdown
from analysis.report.latex import tables
from analysis.report.pictures import draw
from analysis.report.sections.whole import describe
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import standing
from analysis.run import RunRecord
from analysis.saving import save_figure
from analysis.trials.importance import Importances, importances
from fer_tune.filing.files import replacing


@dataclass(frozen=True)
class Written:
    """What `write_report` has written, and its answer.

    Attributes:
        footing: what a comparison with published configurations means; empty without one.
    """

    html: Path
    markdown: Path
    figures: list[Path]
    answer: str
    footing: str = ""


def write_report(run: RunRecord) -> Written:
    """Write the report of ``run``, as far as the run is; what is still to be done is said in it.

    The same run gives the same figures, byte for byte.
    """
    stand = standing(run)
    folder = run.folder.report
    mattered = what_mattered(run)
    pictures: list[Picture] = []
    files = []
    for drawn in draw(run, stand, mattered):
        data = ""
        if drawn.figure is not None:
            png = save_figure(drawn.figure, folder / "figures" / f"{drawn.name}.png")
            drawn.figure.set_layout_engine("none")  # it is laid out: the pdf need not be so again
            save_figure(drawn.figure, folder / "figures" / f"{drawn.name}.pdf")
            files += [folder / "figures" / f"{drawn.name}.{kind}" for kind in ("png", "pdf")]
            if drawn.chart is None and not drawn.on_paper:
                data = base64.b64encode(png).decode("ascii")
        only: Literal["", "page", "paper"] = "page" if drawn.figure is None else "paper" if drawn.on_paper else ""
        pictures.append(Picture(drawn.place, drawn.name, drawn.caption, data, drawn.of, drawn.chart, only))
    facts = gather(run, stand, mattered)
    report = describe(facts, pictures)
    texts = {"report.html": as_html(report), "report.md": as_markdown(report), "tables.tex": tables(facts)}
    if stand.winner is not None:
        texts["model_card.md"] = model_card(facts)
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    _remove_stale(folder, files)
    return Written(folder / "report.html", folder / "report.md", files, facts.answer, facts.footing)


def what_mattered(run: RunRecord) -> list[Importances]:
    """Return the importances of every backbone that has enough random trials."""
    found = (importances(run, backbone) for backbone in run.settings.backbones)
    return [each for each in found if each is not None]


def _remove_stale(folder: Path, written: list[Path]) -> None:
    """Remove figures of an earlier report that this one does not have."""
    for file in (folder / "figures").glob("*.p[nd][gf]"):
        if file not in written:
            file.unlink()
