"""The figures that `Run.plot_*` draws: what is to be drawn is looked up in the run, and said where it is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import curves, heldout, searched
from analysis.figures import pareto as pareto_figure
from analysis.results import TestResult
from analysis.run import RunRecord
from analysis.statistics.calibration.reliability import reliability_curves
from analysis.statistics.roc import roc_curves
from analysis.trials.axes import FEWEST_OF_SURFACE, Point, SearchAxis, finished, points, search_axes
from analysis.trials.importance import FEWEST, importances, untold
from analysis.trials.pareto import MEANINGS, measured, second_objective
from fer_tune.errors import UserError, nearest


def pareto(run: RunRecord) -> Figure:
    """Draw accuracy against the second objective.

    Raises:
        UserError: the search had one objective only, or no trial has both values yet.
    """
    second = second_objective(run.settings)
    if second is None:
        raise UserError(
            f"{run.place}: searched for {run.aim.meaning} alone; `fer-tune search --objective` names a second one"
        )
    if not measured(run.rows, second, run.aim):
        raise UserError(f"{run.place}: no trial has ended with both a {run.aim.meaning} and its {MEANINGS[second]}")
    return pareto_figure.pareto(run.rows, second, run.published_names, run.aim)


def importance(run: RunRecord, backbone: str | None) -> Figure:
    """Draw the importances of a backbone; it may be left out where there is one.

    Raises:
        UserError: no such backbone in the run, or too few random trials.
    """
    name = _backbone(run, backbone)
    found = importances(run, name)
    if found is None:
        raise UserError(f"{run.place}: fewer than {FEWEST} random trials of {name} have ended. {untold(run)}")
    return searched.importance(found)


def slices(run: RunRecord, backbone: str | None) -> Figure:
    """Draw slices; see `Run.plot_slices`."""
    return searched.slices(*_trials(run, backbone), run.aim)


def parallel(run: RunRecord, backbone: str | None) -> Figure:
    """Draw parallel coordinates; see `Run.plot_parallel`."""
    return searched.parallel(*_trials(run, backbone), run.aim)


def contour(run: RunRecord, first: str, second: str, backbone: str | None) -> Figure:
    """Draw the accuracy over two settings.

    Raises:
        UserError: one of them was not searched, or is no number, or too few trials ran all epochs.
    """
    trials, axes = _trials(run, backbone)
    known = {axis.name: axis for axis in axes if not axis.choices}
    for name in (first, second):
        if name not in known:
            hint = nearest(name, known) or f"the searched numbers are {', '.join(known)}"
            raise UserError(f"{name}: not a searched number of this run; {hint}")
    own = finished(trials, known[first], known[second])
    if len(own) < FEWEST_OF_SURFACE:
        raise UserError(f"{run.place}: {len(own)} trials with both ran all epochs; {FEWEST_OF_SURFACE} make a surface")
    return searched.contour(own, known[first], known[second], run.aim)


def learning(run: RunRecord, config_id: str | None) -> Figure:
    """Draw the learning curves of one configuration's refits.

    Raises:
        UserError: it was not refitted.
    """
    refits = {refit.config.config_id: refit for refit in run.refits if refit.completed}
    name = config_id or max(refits, key=lambda each: refits[each].key, default="")
    if name not in refits:
        raise UserError(f"{run.place}: no refit of {name or 'any configuration'} has ended")
    frames = [run.refit_epochs(name, result.seed) for result in refits[name].completed]
    return curves.learning_curves(pd.concat(frames), name)


def confusion(run: RunRecord, config_id: str | None) -> Figure:
    """Draw a confusion matrix; see `Run.plot_confusion`."""
    test = _tested(run, config_id)
    return heldout.confusion(np.sum(np.asarray(test.confusion), axis=0), test.classes)


def classes(run: RunRecord, config_id: str | None) -> Figure:
    """Draw the scores of each class; see `Run.plot_classes`."""
    return heldout.per_class(_tested(run, config_id).per_class)


def roc(run: RunRecord, config_id: str | None) -> Figure:
    """Draw ROC curves; see `Run.plot_roc`."""
    own = run.predictions(_tested(run, config_id).config_id)
    return heldout.roc(roc_curves(own.labels, own.probabilities, own.classes))


def reliability(run: RunRecord, config_id: str | None) -> Figure:
    """Draw accuracy against confidence; see `Run.plot_reliability`."""
    test = _tested(run, config_id)
    own, fitted = run.predictions(test.config_id), test.scaling
    temperatures = None if fitted is None else fitted.temperatures
    return heldout.reliability(reliability_curves(own.labels, own.probabilities, temperatures))


def _backbone(run: RunRecord, backbone: str | None) -> str:
    known = run.settings.backbones
    if backbone is None and len(known) == 1:
        return known[0]
    if backbone not in known:
        raise UserError(f"{run.place}: name one of its backbones: {', '.join(known)}")
    return backbone


def _trials(run: RunRecord, backbone: str | None) -> tuple[list[Point], list[SearchAxis]]:
    name = _backbone(run, backbone)
    trials, axes = points(run, name), search_axes(run, name)
    if not trials or not axes:
        raise UserError(f"{run.place}: no trial of {name} has ended")
    return trials, axes


def _tested(run: RunRecord, config_id: str | None) -> TestResult:
    tests = {test.config_id: test for test in reversed(run.tests)}  # the latest opening and its winner come last
    name = config_id or (run.tests[0].config_id if run.tests else "")
    if name not in tests:
        known = ", ".join(tests) or "nothing"
        raise UserError(f"{run.place}: {name or 'nothing'} was not tested; tested: {known}")
    return tests[name]
