"""The combination of models that validation chose, on the held-out images of the same opening."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.combining.choice import refitted
from analysis.combining.gain import gain
from analysis.heldout.cost import measure, watched
from analysis.refits.predictor import Predictor
from analysis.results import Cost, TestResult
from analysis.run import RunRecord
from analysis.run.cards import sampled_groups
from analysis.run.combinations import (
    Choice,
    Combination,
    TestedChoice,
    averaged_folder,
    chosen_folder,
    result_file,
)
from analysis.run.predictions import predictions_file, read_predictions, write_predictions
from analysis.statistics.scores import score
from fer_tune.data.batching.views import VIEWS
from fer_tune.data.prepared.store import Split
from fer_tune.filing.files import write_json
from fer_tune.filing.layout import BEST


def evaluate_chosen(
    run: RunRecord,
    choice: Choice,
    winner: TestResult,
    beside: list[TestResult],
    split: Split,
    predictor: Predictor,
    comparisons: int,
    resamples: int,
) -> TestedChoice:
    """Predict and score the chosen combination, compare it with the single model, and write that.

    Args:
        run: the run.
        choice: made on validation before the split was opened.
        winner, beside: what this opening has tested so far; what they predict is read back.
        split: the open split.
        predictor: loads models.
        comparisons: of the opening, this one included.
        resamples: bootstrap resamples of the scores' intervals.
    """
    folder, used = chosen_folder(run, winner.opening), choice.combination
    tested = TestedChoice(opening=winner.opening, choice=choice)
    if not choice.is_single:
        costs = {result.config_id: result.cost for result in (winner, *beside)}
        each = _predicted(run, used, winner.opening, split, predictor, costs)
        seeds = [member.seed for member in used.members] if used.kind == "single" else [used.members[0].seed]
        groups = sampled_groups(predictor.card, split.groups)
        classes = predictor.card.classes
        single = read_predictions(predictions_file(run.folder.test(winner.config_id, winner.opening))).probabilities
        write_predictions(predictions_file(folder), split, each, classes, seeds)
        parameters, slower = _cost(used, costs, winner)
        tested = TestedChoice(
            opening=winner.opening,
            choice=choice,
            scores=score(split.labels, each, classes, seeds, groups=groups, resamples=resamples),
            gain=gain(run.aim, split.labels, each, single, groups=groups, comparisons=comparisons),
            parameters=parameters,
            times_slower=slower,
        )
    write_json(tested, result_file(folder))
    return tested


def _predicted(
    run: RunRecord,
    used: Combination,
    opening: int,
    split: Split,
    predictor: Predictor,
    costs: dict[str, Cost | None],
) -> NDArray[Any]:
    """Return what the combination predicts, (K, N, C); add to ``costs`` those of what was not tested beside it."""
    models = {(m.result.config_id, m.result.seed): m for refit in run.refits for m in refitted(run, refit)}
    if used.kind == "soup":
        first = used.members[0]
        settings = models[first.config_id, first.seed].settings
        model = predictor.load(settings, averaged_folder(run, first.config_id) / BEST)
        return predictor.predict(model, settings, split, used.views)[None]
    found = []
    for member in used.members:
        file = predictions_file(run.folder.test(member.config_id, opening), used.views)
        if file.is_file():
            read = read_predictions(file)
            found.append(read.probabilities[read.seeds.index(member.seed)])
            continue
        own = models[member.config_id, member.seed]
        model = predictor.load(own.settings, own.file)
        with watched(model) as shape:
            found.append(predictor.predict(model, own.settings, split, used.views))
        if member.config_id not in costs and shape:
            costs[member.config_id] = measure(model, shape[0], predictor.device)
    each = np.stack(found)
    return each if used.kind == "single" else np.tensordot([m.share for m in used.members], each, 1)[None]


def _cost(used: Combination, costs: dict[str, Cost | None], winner: TestResult) -> tuple[int | None, float | None]:
    """Return the parameters of all models of the combination, and its time for an image over the single model's."""
    members = used.members if used.kind in ("ensemble", "greedy") else used.members[:1]
    known = [cost for member in members if (cost := costs.get(member.config_id)) is not None]
    if len(known) < len(members) or winner.cost is None:
        return None, None
    time = VIEWS[used.views] * sum(cost.latency_ms for cost in known) / winner.cost.latency_ms
    return sum(cost.parameters for cost in known), time
