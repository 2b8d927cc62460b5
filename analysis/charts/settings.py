"""Interactive figures over the searched settings, by `optuna.visualization`: slices, contour, parallel coordinates.

And when each trial ran. What is drawn is a study that is made of the run's own records, so that it shows what the
report says; the times alone come from the search's journal.
"""

from __future__ import annotations

import warnings
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.charts.look import MARKS, MOST_LINES, PALETTE, SCALE, Chart, chart, plain, shade
from analysis.trials.axes import Point, SearchAxis
from analysis.words import unit
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import ACCURACY, Aim

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

_EPOCHS = "epochs trained"
_MOST_OF_CONTOUR = 150
"""Trials: Optuna lays a grid through all of their values, so the size of the chart grows with the square."""


def slices(points: list[Point], axes: list[SearchAxis], aim: Aim = ACCURACY) -> Chart:
    """Draw the best of every trial against each setting; rings are stopped trials."""
    from optuna.visualization import plot_slice

    drawn = _best(points)
    figure = plot_slice(_study(drawn, axes, aim), params=[axis.name for axis in axes], target_name=aim.label)
    for trace, name in zip(figure.data, sorted(axis.name for axis in axes), strict=True):  # in this order Optuna draws
        own = [drawn[number] for number in trace.marker.color]  # Optuna's numbers of trials: it sorts those of a choice
        looks = [MARKS["published" if point.published else point.status] for point in own]
        trace.marker = {
            "symbol": [look["symbol"] for look in looks],
            "size": [look["size"] for look in looks],
            "color": [look.get("color", PALETTE[0]) for look in looks],
        }
        trace.text = [plain(f"{point.trial_id}, {point.status}") for point in own]
        trace.hovertemplate = f"%{{text}}<br>{name} %{{x}}<br>%{{y:.4~g}}<extra></extra>"
        trace.showlegend = False
    made = chart(figure, height=360, least=max(340, 140 * len(axes)))
    figure.update_xaxes(tickangle=0, nticks=4, title_font_size=11)  # a panel is narrow
    figure.update_xaxes(selector={"type": "log"}, dtick=1)  # digits between the powers of ten would overlap
    return Chart(figure.to_json(), made.height, made.least)


def parallel(points: list[Point], axes: list[SearchAxis], aim: Aim = ACCURACY) -> Chart:
    """Draw every trial as a line over all settings and the epochs that it was trained for; the best tenth is thick.

    Args:
        points: at least one, each with a drawn value of every setting; see `analysis.trials.axes.drawn_whole`.
        axes: the searched settings.
    """
    from optuna.visualization import plot_parallel_coordinate

    names = [*(axis.name for axis in axes), _EPOCHS]
    figure = plot_parallel_coordinate(
        _study(_best(points), axes, aim, epochs=True), params=names, target_name=aim.label
    )
    *lines, scale = figure.data
    shares = [line.y[0] if aim.maximise else 1 - line.y[0] for line in lines]  # of the way from the worst to the best
    best = sorted(shares, reverse=True)[: max(3, len(lines) // 10)][-1]
    for line, share in zip(lines, shares, strict=True):
        line.line.color = shade(share)
        line.line.width, line.opacity = (2.6, 0.95) if share >= best else (1.2, 0.6)
        told = "<br>".join(f"{plain(str(name))}: {plain(str(value))}" for name, value in line.customdata)
        line.customdata, line.hovertemplate = None, f"{told}<extra></extra>"
    scale.marker.colorscale, scale.marker.reversescale = SCALE, not aim.maximise
    scale.marker.colorbar = {"title": {"text": unit(aim)}, "thickness": 12}
    return chart(figure, height=460, least=max(560, 105 * (len(names) + 1)))


def contour(points: list[Point], first: SearchAxis, second: SearchAxis, aim: Aim = ACCURACY) -> Chart:
    """Draw what trials are judged by over two settings, of the best trials among `analysis.trials.axes.finished`."""
    from optuna.visualization import plot_contour

    best = sorted(points, key=lambda point: -point.key)[:_MOST_OF_CONTOUR]
    figure = plot_contour(_study(best, [first, second], aim), params=[first.name, second.name], target_name=aim.label)
    figure.update_traces(selector={"type": "contour"}, colorscale="Cividis", reversescale=False)
    figure.update_traces(selector={"type": "scatter"}, showlegend=False)
    return chart(figure, height=460, least=520)  # beside its scale


def timeline(rows: list[dict[str, Any]], journal: Path) -> Chart | None:
    """Draw from when to when each trial ran; None where the search's journal has no times.

    Args:
        rows: `Run.rows`.
        journal: the search's, with a study for each backbone.
    """
    import optuna
    from optuna.visualization import plot_timeline

    times = _times(journal)
    states = {
        "completed": optuna.trial.TrialState.COMPLETE,
        "stopped": optuna.trial.TrialState.PRUNED,
        "failed": optuna.trial.TrialState.FAIL,
        TOO_LARGE: optuna.trial.TrialState.FAIL,  # Optuna draws no state of its own for it
    }
    study = _quiet_study()
    for row in rows[-MOST_LINES:]:
        begun, ended = times.get(row["trial_id"], (None, None))
        if begun is None or ended is None or row["status"] not in states:
            continue
        state = states[row["status"]]
        done = state is optuna.trial.TrialState.COMPLETE
        trial = optuna.trial.create_trial(
            state=state,
            value=0.0 if done else None,
            user_attrs={"trial": row["trial_id"], "backbone": row["backbone"]},
        )
        trial.datetime_start, trial.datetime_complete = begun, ended
        study.add_trial(trial)
    if not study.get_trials(deepcopy=False):
        return None
    figure = plot_timeline(study)
    for trace in figure.data:
        name, colour, pattern = _STATES[trace.name]
        trace.name, trace.marker.color, trace.marker.pattern = name, colour, {"shape": pattern}
    figure.update_layout(
        yaxis_title="trial, in the order of start, from 0", xaxis_title="time, of the machine that searched"
    )
    return chart(figure, height=max(320, min(900, 120 + 12 * len(study.get_trials(deepcopy=False)))))


_STATES = {
    "COMPLETE": ("all epochs", PALETTE[0], ""),
    "PRUNED": ("stopped early", PALETTE[5], "/"),
    "FAIL": ("failed or too large", PALETTE[3], "x"),
}


def _times(journal: Path) -> dict[str, tuple[datetime | None, datetime | None]]:
    """Return from when to when each trial ran, by its trial_id; empty where that cannot be read."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if not journal.is_file():
        return {}
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        names = optuna.get_all_study_names(storage)
        studies = [optuna.load_study(study_name=name, storage=storage) for name in names]
        trials = [each for study in studies for each in study.get_trials(deepcopy=False)]
    finally:
        optuna.logging.set_verbosity(level)
    return {str(each.user_attrs.get("trial_id")): (each.datetime_start, each.datetime_complete) for each in trials}


def _best(points: list[Point]) -> list[Point]:
    return sorted(points, key=lambda point: -point.key)[:MOST_LINES]


def _study(points: list[Point], axes: list[SearchAxis], aim: Aim, *, epochs: bool = False) -> optuna.Study:
    """Return a study in which every point is a finished trial, with the settings that the search could have drawn."""
    import optuna
    from optuna.distributions import IntDistribution

    study = _quiet_study()
    ends = [point.epochs for point in points]
    for point in points:
        own = [axis for axis in axes if axis.holds(point.settings.get(axis.name))]
        params: dict[str, Any] = {axis.name: point.settings[axis.name] for axis in own}
        kinds: dict[str, BaseDistribution] = {axis.name: axis.distribution() for axis in own}
        if epochs:
            params[_EPOCHS], kinds[_EPOCHS] = point.epochs, IntDistribution(min(ends), max(ends))
        trial = optuna.trial.create_trial(params=params, distributions=kinds, value=aim.scale * point.value)
        study.add_trial(trial)
    return study


def _quiet_study() -> optuna.Study:
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Optuna calls experimental
            return optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(level)
