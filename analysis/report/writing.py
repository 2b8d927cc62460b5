"""Write `report/`: report.html (one file, no script), report.md, tables.tex, model_card.md, and every figure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2

from analysis.report.facts import gather
from analysis.report.findings import Standing, answer, standing
from analysis.report.latex import tables
from analysis.report.pictures import draw
from analysis.run import RunRecord
from analysis.saving import save_figure
from analysis.trials.importance import Importances, importances
from fer_tune.files import replacing


@dataclass(frozen=True)
class Written:
    """What `write_report` has written."""

    html: Path
    markdown: Path
    figures: list[Path]
    answer: str


@dataclass(frozen=True)
class Picture:
    """A figure in a report: ``name`` is that of its files; ``data`` its png in base64."""

    name: str
    caption: str
    data: str


def write_report(run: RunRecord) -> Written:
    """Write the report of ``run``, as far as the run is; what is still to be done is said in it.

    The same run gives the same figures, byte for byte.
    """
    stand = standing(run)
    folder = run.folder.report
    mattered = what_mattered(run)
    pictures: dict[str, Picture] = {}
    files = []
    for name, caption, figure in draw(run, stand, mattered):
        png = save_figure(figure, folder / "figures" / f"{name}.png")
        figure.set_layout_engine("none")  # it is laid out: the pdf need not be so again
        save_figure(figure, folder / "figures" / f"{name}.pdf")
        files += [folder / "figures" / f"{name}.{kind}" for kind in ("png", "pdf")]
        pictures[name] = Picture(name, caption, base64.b64encode(png).decode("ascii"))
    facts = gather(run, stand, mattered) | {"pictures": pictures}
    texts = {f"report.{kind}": rendered(f"report.{kind}", facts) for kind in ("html", "md")}
    texts["tables.tex"] = tables(facts)
    if stand.winner is not None:
        texts["model_card.md"] = rendered("model_card.md", facts)
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    _remove_stale(folder, files)
    return Written(folder / "report.html", folder / "report.md", files, answer(run, stand))


def what_mattered(run: RunRecord) -> list[Importances]:
    """Return the importances of every backbone that has enough trials."""
    found = (importances(run, backbone) for backbone in run.settings.backbones)
    return [each for each in found if each is not None]


def render(run: RunRecord, stand: Standing, kind: Literal["html", "md"]) -> str:
    """Return the report's text without its figures."""
    return rendered(f"report.{kind}", gather(run, stand, what_mattered(run)) | {"pictures": {}})


def rendered(name: str, facts: dict[str, Any]) -> str:
    """Return the text of the template ``name``, such as ``report.md``, with what `gather` found."""
    return _environment(name.rsplit(".")[-1]).get_template(f"{name}.j2").render(facts)


def _remove_stale(folder: Path, written: list[Path]) -> None:
    """Remove figures of an earlier report that this one does not have."""
    for file in (folder / "figures").glob("*.p[nd][gf]"):
        if file not in written:
            file.unlink()


def _environment(kind: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis.report"),
        autoescape=kind == "html",
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return environment
