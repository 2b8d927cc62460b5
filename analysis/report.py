"""Write `report/`: report.html (one file, no script), report.md, and every figure as png and pdf."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import figures
from analysis.findings import (
    Standing,
    answer,
    compared,
    limits,
    luck,
    mean_sd,
    percent,
    settings_text,
    span,
    standing,
)
from analysis.run import ConfigRefit, Run
from fer_tune import __version__
from fer_tune.data.card import read_card
from fer_tune.data.summary import hygiene_sentences
from fer_tune.errors import UserError
from fer_tune.run_folder import replacing

LEADERS = 10  # trials on the leaderboard


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


def write_report(run: Run) -> Written:
    """Write the report of ``run``, as far as the run is; what is still to be done is said in it.

    The same run gives the same figures, byte for byte.
    """
    stand = standing(run)
    folder = run.folder.report
    pictures: dict[str, Picture] = {}
    files = []
    for name, caption, figure in draw(run, stand):
        png = _save(figure, folder / "figures" / f"{name}.png")
        _save(figure, folder / "figures" / f"{name}.pdf")
        files += [folder / "figures" / f"{name}.{kind}" for kind in ("png", "pdf")]
        pictures[name] = Picture(name, caption, base64.b64encode(png).decode("ascii"))
    kinds: tuple[Literal["html", "md"], ...] = ("html", "md")
    for kind in kinds:
        with replacing(folder / f"report.{kind}") as temporary:
            temporary.write_text(render(run, stand, kind, pictures), encoding="utf-8")
    return Written(folder / "report.html", folder / "report.md", files, answer(run, stand))


def render(run: Run, stand: Standing, kind: Literal["html", "md"], pictures: dict[str, Picture] | None = None) -> str:
    """Return the report's text, with the ``pictures`` given, by name."""
    facts = gather(run, stand) | {"pictures": pictures or {}}
    return _environment(kind).get_template(f"report.{kind}.j2").render(facts)


def draw(run: Run, stand: Standing) -> list[tuple[str, str, Figure]]:
    """Return (file name, caption, figure) of every figure that the run has numbers for."""
    drawn: list[tuple[str, str, Figure]] = []
    if run.ranked:
        words = "Best validation accuracy of every trial, and the best so far of each backbone."
        drawn.append(("search_history", words, figures.search_history(run.trials)))
        words = "Validation accuracy of every trial over its epochs; early stopping ended those with a ring."
        drawn.append(("trial_curves", words, figures.trial_curves(run.epochs, run.trials)))
        rows = _comparison_bars(run, stand)
        if len(rows) > 1:
            words = (
                "Accuracy on validation here, of the published configurations and the searched one; "
                "squares are what papers report of their own test splits."
            )
            title = "Published configurations and the searched one"
            drawn.append(("comparison", words, figures.bars(rows, title, "accuracy (%)")))
    if any(refit.values for refit in stand.refits):
        words = "Best validation accuracy of each refit: a dot per seed, a bar at their mean."
        rows = [_refit_bar(refit, refit.config.config_id) for refit in _by_mean(stand.refits) if refit.values]
        drawn.append(("refits", words, figures.bars(rows, "Refits with new seeds", "validation accuracy (%)")))
    if stand.winner is not None:
        name = stand.winner.config.config_id
        frames = [run.refit_epochs(name, result.seed) for result in stand.winner.completed]
        words = "Loss and accuracy over the epochs of the winner's refits: thin lines are seeds, thick ones their mean."
        drawn.append(("learning_curves", words, figures.learning_curves(pd.concat(frames), name)))
    test = stand.test
    if test is not None:
        words = "Predictions of all seeds together, as per cent of each true class."
        total = np.sum(np.asarray(test.confusion), axis=0)
        drawn.append(("confusion", words, figures.confusion(total, test.classes)))
        words = "F1, precision and recall of each class with 95 % intervals."
        drawn.append(("per_class", words, figures.per_class(test.per_class)))
    return drawn


def _by_mean(refits: list[ConfigRefit]) -> list[ConfigRefit]:
    return sorted(refits, key=lambda refit: (not refit.values, -refit.mean if refit.values else 0.0))


def _refit_bar(refit: ConfigRefit, name: str) -> figures.Bar:
    kind = "searched" if refit.config.origin == "sampled" else "published"
    return figures.Bar(name, refit.mean, points=tuple(refit.values), kind=kind)


def _comparison_bars(run: Run, stand: Standing) -> list[figures.Bar]:
    rows = []
    for entry, row in zip(run.published, compared(run, stand), strict=False):
        trial = entry.trial
        reported = entry.published.reported.get("test_accuracy")
        if reported is not None and not row.reported.startswith("for "):
            rows.append(figures.Bar(f"{row.name}\nreported, on its own test split", reported / 100, kind="reported"))
        refit = next((r for r in stand.refits if trial and r.config.trial_id == trial["trial_id"]), None)
        if refit is not None and refit.values:
            rows.append(_refit_bar(refit, f"{row.name}\nhere, validation, {len(refit.values)} seeds"))
        elif trial is not None and trial["best_val_accuracy"] is not None:
            text = f"{row.name}\nhere, validation, one seed, {trial['epochs']} epochs"
            rows.append(figures.Bar(text, trial["best_val_accuracy"], kind="published"))
    if stand.winner is not None and stand.winner.config.origin == "sampled":
        rows.append(
            _refit_bar(
                stand.winner,
                f"searched: {stand.winner.config.backbone}\nhere, validation, {len(stand.winner.values)} seeds",
            )
        )
    elif stand.winner is None:
        best = next((row for row in run.ranked if row["origin"] == "sampled"), None)
        if best is not None:
            text = f"searched: {best['backbone']}\nhere, validation, best of many, one seed"
            rows.append(figures.Bar(text, best["best_val_accuracy"]))
    return rows


def gather(run: Run, stand: Standing) -> dict[str, Any]:
    """Return what the templates show, as text and rows."""
    settings = run.settings
    refits = [
        {
            "id": refit.config.config_id,
            "origin": refit.config.origin,
            "search": percent(refit.config.search_val_accuracy),
            "mean": mean_sd(refit.values),
            "each": ", ".join(
                [percent(value) for value in refit.values]
                + ["failed"] * len(refit.failed)
                + ["to do"] * len(refit.missing)
            ),
            "settings": settings_text(refit.config.config),
        }
        for refit in _by_mean(stand.refits)
    ]
    leaders = [
        {
            **{name: row[name] for name in ("trial_id", "backbone", "origin", "status", "epochs")},
            "accuracy": percent(row["best_val_accuracy"]),
            "settings": settings_text(row["config"]),
        }
        for row in run.ranked[:LEADERS]
    ]
    return {
        "title": settings.name,
        "dataset": settings.dataset.name,
        "answer": answer(run, stand),
        "luck": luck(run, stand),
        "next_command": stand.next_command,
        "refits": refits,
        "leaders": leaders,
        "trials": len(run.rows),
        "compared": [asdict(row) for row in compared(run, stand)],
        "test": stand.test,
        "openings": run.openings,
        "how": _how(run, stand),
        "limits": limits(run, stand),
        "percent": percent,
        "span": span,
        "version": __version__,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _how(run: Run, stand: Standing) -> list[tuple[str, str]]:
    settings = run.settings
    status = [row["status"] for row in run.rows]
    parts = [f"{status.count(name)} {name}" for name in ("completed", "stopped", "failed", "running") if name in status]
    spent = sum(row["seconds"] or 0 for row in run.rows)
    budget = f"{settings.trials} trials for each of {', '.join(settings.backbones)}, {settings.epochs} epochs at most"
    budget += f"; {len(run.rows)} started ({', '.join(parts)}), {spent / 3600:.2f} hours of training in all"
    if settings.time_budget_seconds:
        budget += f"; stopped after {settings.time_budget_seconds / 60:.0f} minutes"
    found = [("search", budget), ("search seed", str(settings.seed))]
    plan = run.refit_plan
    if plan is not None:
        seeds = ", ".join(map(str, plan.seeds))
        words = f"{len(plan.configs)} configurations, seeds {seeds}, {plan.epochs} epochs, on the training split"
        found.append(("refits", words))
    if stand.test is not None:
        found += [("choice", stand.test.selection), ("intervals", stand.test.method)]
    reads = len(run.openings)
    found.append(
        ("held-out split", "not read yet" if not reads else f"read {'once' if reads == 1 else f'{reads} times'}")
    )
    found.append(("dataset", f"{settings.dataset.name}, content {settings.dataset.content_hash[:16]}"))
    try:
        found += [_named(line) for line in hygiene_sentences(read_card(Path(settings.dataset.path)))]
    except UserError:
        found.append(("data hygiene", "unknown here: the prepared dataset is not where the run found it"))
    found.append(
        ("versions", ", ".join(f"{name} {version}" for name, version in settings.versions.items()) or "not known")
    )
    found.append(
        ("hardware", ", ".join(f"{name}: {value}" for name, value in settings.hardware.items()) or "not known")
    )
    return found


def _named(line: str) -> tuple[str, str]:
    name, colon, text = line.partition(": ")
    return (name, text) if colon else ("data", line)


def _save(figure: Figure, target: Path) -> bytes:
    buffer = BytesIO()
    kind = target.suffix[1:]
    stamp: dict[str, Any] = {"Software": None} if kind == "png" else {"CreationDate": None}  # the same file each time
    figure.savefig(buffer, format=kind, metadata=stamp)
    with replacing(target) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def _environment(kind: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis"),
        autoescape=kind == "html",
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return environment
