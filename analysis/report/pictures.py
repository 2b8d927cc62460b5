"""Which figures a report has, and where: each with its file name and its caption, for what the run has numbers of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import bars, curves, heldout, pareto, searched, sheets
from analysis.report.blocks import Place
from analysis.report.comparison_bars import comparison, refit_bar
from analysis.report.findings import Standing
from analysis.report.rows import by_mean
from analysis.results import TestResult
from analysis.run import RunRecord
from analysis.run.predictions import predictions_file
from analysis.trials.axes import points, search_axes
from analysis.trials.importance import Importances
from analysis.trials.pareto import MEANINGS, measured, second_objective
from analysis.words import slug


@dataclass(frozen=True)
class Drawn:
    """A figure of a report: where it stands, the name of its files, its caption."""

    place: Place
    name: str
    caption: str
    figure: Figure
    of: str = ""  # the backbone, where there is such a place for each


def draw(run: RunRecord, stand: Standing, mattered: list[Importances]) -> Iterator[Drawn]:
    """Yield every figure that the run has numbers for, drawn one at a time; those of one place in their order there."""
    if run.ranked:
        yield from _search(run, stand)
        for backbone in run.settings.backbones:
            found = next((each for each in mattered if each.backbone == backbone), None)
            yield from _settings(run, backbone, found)
    if any(refit.values for refit in stand.refits):
        words = f"Best {run.aim.meaning} of each refit: a dot per seed, a bar at their mean."
        rows = [refit_bar(run, refit, refit.config.config_id) for refit in by_mean(stand.refits) if refit.values]
        yield Drawn("refits", "refits", words, bars.bars(rows, "Refits with new seeds", run.aim.label, run.aim.scale))
    if stand.winner is not None:
        name = stand.winner.config.config_id
        frames = [run.refit_epochs(name, result.seed) for result in stand.winner.completed]
        words = "Loss and accuracy over the epochs of the winner's refits: thin lines are seeds, thick ones their mean."
        yield Drawn("refits", "learning_curves", words, curves.learning_curves(pd.concat(frames), name))
    if stand.test is not None:
        yield from _held_out(run, stand, stand.test)


def _search(run: RunRecord, stand: Standing) -> Iterator[Drawn]:
    words = f"Best {run.aim.meaning} of every trial, and the best so far of each backbone."
    yield Drawn("search", "search_history", words, curves.search_history(run.trials, run.published_names, run.aim))
    words = f"The {run.aim.meaning} of every trial over its epochs"
    words += "; early stopping ended those with a ring." if (run.trials["status"] == "stopped").any() else "."
    yield Drawn("search", "trial_curves", words, curves.trial_curves(run.epochs, run.trials, run.aim))
    words = f"Best {run.aim.meaning} so far against the epochs that the search had spent."
    yield Drawn("search", "budget", words, searched.budget(run.trials, run.published_names, run.aim))
    second = second_objective(run.settings)
    if second is not None and measured(run.rows, second, run.aim):
        words = f"Best {run.aim.meaning} of every trial against the {MEANINGS[second]}; rings mark the front."
        yield Drawn("pareto", "pareto", words, pareto.pareto(run.rows, second, run.published_names, run.aim))
    chart = comparison(run, stand)
    if len(chart.rows) > 1:
        yield Drawn(
            "comparison", "comparison", chart.caption, bars.bars(chart.rows, chart.title, chart.label, chart.scale)
        )


def _settings(run: RunRecord, backbone: str, found: Importances | None) -> Iterator[Drawn]:
    axes, trials = search_axes(run, backbone), points(run, backbone)
    if not axes or len(trials) < 3:
        return

    def drawn(name: str, words: str, figure: Figure) -> Drawn:
        return Drawn("settings", f"{name}_{slug(backbone)}", words, figure, backbone)

    order = {each.name: place for place, each in enumerate(found.settings if found else [])}
    axes = sorted(axes, key=lambda axis: order.get(axis.name, len(order)))
    if found is not None:
        words = f"{backbone}: share of each setting in reaching the best trials (PED-ANOVA), with what chance gives."
        yield drawn("importance", words, searched.importance(found))
    words = f"{backbone}: best {run.aim.meaning} of every trial against each searched setting."
    yield drawn("slices", words, searched.slices(trials, axes, run.aim))
    plain = [axis for axis in axes if not axis.choices]
    if len(plain) > 1 and len(trials) >= 6:
        words = f"{backbone}: {run.aim.meaning} over {plain[0].name} and {plain[1].name}, smoothed over the trials."
        yield drawn("contour", words, searched.contour(trials, plain[0], plain[1], run.aim))
    if len(axes) > 1:
        words = f"{backbone}: every trial as a line over all searched settings; the best ones are thick."
        yield drawn("parallel", words, searched.parallel(trials, axes, run.aim))


def _held_out(run: RunRecord, stand: Standing, test: TestResult) -> Iterator[Drawn]:
    words = "F1, precision and recall of each class with 95 % intervals."
    yield Drawn("classes", "per_class", words, heldout.per_class(test.per_class))
    words = "Predictions of all seeds together, as per cent of each true class."
    total = np.sum(np.asarray(test.confusion), axis=0)
    yield Drawn("classes", "confusion", words, heldout.confusion(total, test.classes))
    if stand.comparison is not None and stand.comparison.pairs:
        words = "Points of accuracy that the winner has more than each other tested configuration, on the same images."
        yield Drawn("differences", "differences", words, heldout.differences(stand.comparison.pairs))
    if predictions_file(run.folder.test(test.config_id, test.opening)).is_file():
        predictions = run.predictions(test.config_id)
        words = "ROC curve of each class against the rest, from the mean probabilities of the seeds."
        yield Drawn("held-out", "roc", words, heldout.roc(predictions))
        if "calibration_error" in test.more:
            words = "Accuracy against confidence, and how often each confidence occurs; all seeds together."
            error = test.more["calibration_error"].value
            yield Drawn("held-out", "reliability", words, heldout.reliability(predictions, error))
    if test.groups:
        words = "Accuracy in each group of images, all seeds together."
        yield Drawn("held-out", "groups", words, heldout.groups(test.groups))
    for name, words, figure in sheets.draw(run, test):
        yield Drawn("errors", name, words, figure)
