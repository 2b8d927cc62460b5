"""Which figures a report has, and where: each with its file name and its caption, for what the run has numbers of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.charts import settings, tested, trials
from analysis.charts.beyond import corruptions as corrupted
from analysis.charts.look import Chart
from analysis.figures import bars, beyond, curves, heldout, pareto, searched, sheets
from analysis.report.comparison_bars import comparison, refit_bar
from analysis.report.form.blocks import Place
from analysis.report.telling.findings import Standing
from analysis.report.telling.rows import by_mean
from analysis.results import TestResult
from analysis.run import ConfigRefit, RunRecord
from analysis.run.predictions import predictions_file
from analysis.statistics.calibration.reliability import reliability_curves
from analysis.statistics.roc import roc_curves
from analysis.trials.axes import FEWEST_OF_SURFACE, drawn_whole, finished, points, search_axes
from analysis.trials.importance import Importances
from analysis.trials.pareto import MEANINGS, measured, second_objective
from analysis.words import listed, slug
from fer_tune.amounts import amount


@dataclass(frozen=True)
class Drawn:
    """A figure of a report: where it stands, the name of its files, its caption; on paper, and interactive.

    ``on_paper``: a page has a block of its own for what the figure shows.  Without ``figure`` there is none on paper.
    """

    place: Place
    name: str
    caption: str
    figure: Figure | None
    chart: Chart | None = None
    of: str = ""  # the backbone, where there is such a place for each
    on_paper: bool = False


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
        figure = bars.bars(rows, "Refits with new seeds", run.aim.label, run.aim.scale)
        yield Drawn("refits", "refits", words, figure, tested.bars(rows, run.aim.label, run.aim.scale))
    if stand.winner is not None and stand.winner.completed:
        yield from _learning(run, stand.winner)
    if stand.test is not None:
        yield from _held_out(run, stand, stand.test)


def _learning(run: RunRecord, winner: ConfigRefit) -> Iterator[Drawn]:
    name = winner.config.config_id
    frames = pd.concat([run.refit_epochs(name, result.seed) for result in winner.completed])
    if len(frames):  # the tables may have been removed
        words = "Loss and accuracy over the epochs of the winner's refits: thin lines are seeds, thick ones their mean."
        figure = curves.learning_curves(frames, name)
        yield Drawn("refits", "learning_curves", words, figure, trials.learning(frames))


def _search(run: RunRecord, stand: Standing) -> Iterator[Drawn]:
    names, aim = run.published_names, run.aim
    words = f"Best {aim.meaning} of every trial, and the best so far of each backbone."
    figure = curves.search_history(run.trials, names, aim)
    yield Drawn("search", "search_history", words, figure, trials.history(run.rows, names, aim))
    words = f"The {aim.meaning} of every trial over its epochs"
    words += "; early stopping ended those with a ring." if (run.trials["status"] == "stopped").any() else "."
    figure = curves.trial_curves(run.epochs, run.trials, aim)
    yield Drawn("search", "trial_curves", words, figure, trials.curves(run.rows, run.epochs, aim))
    words = f"Best {aim.meaning} so far against the epochs that the search had spent."
    figure = searched.budget(run.trials, names, aim)
    yield Drawn("search", "budget", words, figure, trials.budget(run.rows, names, aim))
    if (chart := settings.timeline(run.rows, run.folder.study_file)) is not None:
        words = "From when to when each trial ran."
        yield Drawn("search", "timeline", words, None, chart)
    second = second_objective(run.settings)
    if second is not None and measured(run.rows, second, aim):
        words = f"Best {aim.meaning} of every trial against the {MEANINGS[second]}; rings mark the front."
        figure = pareto.pareto(run.rows, second, names, aim)
        yield Drawn("pareto", "pareto", words, figure, trials.pareto(run.rows, second, names, aim))
    beside = comparison(run, stand)
    if len(beside.rows) > 1:
        figure = bars.bars(beside.rows, beside.title, beside.label, beside.scale)
        chart = tested.bars(beside.rows, beside.label, beside.scale)
        yield Drawn("comparison", "comparison", beside.caption, figure, chart)


def _settings(run: RunRecord, backbone: str, found: Importances | None) -> Iterator[Drawn]:
    axes, own = search_axes(run, backbone), points(run, backbone)
    if not axes or len(own) < 3:
        return

    def drawn(name: str, words: str, figure: Figure, chart: Chart | None = None) -> Drawn:
        return Drawn("settings", f"{name}_{slug(backbone)}", words, figure, chart, backbone)

    order = {each.name: place for place, each in enumerate(found.settings if found else [])}
    axes = sorted(axes, key=lambda axis: order.get(axis.name, len(order)))
    if found is not None:
        words = (
            f"{backbone}: share of each setting alone in the differences between random trials (by rank), {found.when}."
        )
        yield drawn("importance", words, searched.importance(found))
    words = f"{backbone}: best {run.aim.meaning} of every trial against each searched setting; rings were stopped."
    outside = {axis.name: sum(not axis.holds(point.settings.get(axis.name)) for point in own) for axis in axes}
    if beyond_axes := [f"{number:,} of {name}" for name, number in outside.items() if number]:
        words += f" Trials with a value outside the searched ones are not shown: {listed(beyond_axes)}."
    yield drawn("slices", words, searched.slices(own, axes, run.aim), settings.slices(own, axes, run.aim))
    plain = [axis for axis in axes if not axis.choices]
    if len(plain) > 1 and len(surface := finished(own, plain[0], plain[1])) >= FEWEST_OF_SURFACE:
        words = (
            f"{backbone}: {run.aim.meaning} over {plain[0].name} and {plain[1].name}, smoothed over the "
            f"{amount(len(surface), 'trial')} that ran all epochs."
        )
        chart = settings.contour(surface, plain[0], plain[1], run.aim)
        yield drawn("contour", words, searched.contour(surface, plain[0], plain[1], run.aim), chart)
    if len(axes) > 1:
        whole = drawn_whole(own, axes)
        words = f"{backbone}: every trial as a line over all searched settings; the best ones are thick."
        if len(whole) < len(own):
            words += (
                f" {amount(len(own) - len(whole), 'trial')} with a setting outside the searched ones cannot be shown."
            )
        if whole:
            yield drawn(
                "parallel", words, searched.parallel(whole, axes, run.aim), settings.parallel(whole, axes, run.aim)
            )


def _held_out(run: RunRecord, stand: Standing, test: TestResult) -> Iterator[Drawn]:
    words = "F1, precision and recall of each class with 95 % intervals."
    yield Drawn("classes", "per_class", words, heldout.per_class(test.per_class), tested.per_class(test.per_class))
    words = "Predictions of all seeds together, as per cent of each true class."
    total = np.sum(np.asarray(test.confusion), axis=0)
    chart = tested.confusion(total, test.classes, seeds=len(test.seeds))
    yield Drawn("classes", "confusion", words, heldout.confusion(total, test.classes), chart)
    if stand.comparison is not None and stand.comparison.pairs:
        pairs = stand.comparison.pairs
        words = "Points of accuracy that the winner has more than each other tested configuration, on the same images."
        yield Drawn("differences", "differences", words, heldout.differences(pairs), tested.differences(pairs))
    if predictions_file(run.folder.test(test.config_id, test.opening)).is_file():
        own = run.predictions(test.config_id)
        words = "ROC curve of each class against the rest, mean over the seeds; its area is the AUC in the table."
        found = roc_curves(own.labels, own.probabilities, own.classes)
        yield Drawn("held-out", "roc", words, heldout.roc(found), tested.roc(found))
        temperatures = None if test.scaling is None else test.scaling.temperatures
        scaled = reliability_curves(own.labels, own.probabilities, temperatures)
        words = (
            "Accuracy against confidence, with 95 % intervals that count the images of one seed, and how often each "
        )
        words += "confidence occurs; all seeds together"
        words += ", before and after temperature scaling." if len(scaled) > 1 else "."
        figure = heldout.reliability(scaled)
        yield Drawn("calibration", "reliability", words, figure, tested.reliability(scaled))
    if test.groups:
        words = "Accuracy in each group of images, all seeds together."
        yield Drawn("groups", "groups", words, heldout.groups(test.groups), tested.groups(test.groups))
    if (found_under := run.corruptions) is not None:
        words = "Accuracy under each corruption over its strength, all seeds together; dashed: the images as they are."
        yield Drawn("corruptions", "corruptions", words, beyond.corruptions(found_under), corrupted(found_under))
    for name, words, figure in sheets.draw(run, test):
        yield Drawn("errors", name, words, figure, on_paper=name != "gradcam")
