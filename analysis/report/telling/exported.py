"""Which model is exported, with its own score: the figures of a report are means over seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from analysis.report.telling.findings import Standing
from analysis.results import Estimate, Scores
from analysis.run import RunRecord
from analysis.run.cards import dataset_card, sampled_groups
from analysis.run.combinations import chosen_folder, latest_choice
from analysis.run.predictions import predictions_file, read_predictions
from analysis.statistics.uncertainty.intervals import wilson
from analysis.statistics.uncertainty.means import mean_estimates
from analysis.statistics.uncertainty.sampling import sampling_of
from analysis.words import percent


def exported(run: RunRecord, stand: Standing) -> str:
    """Return which model ``RUN/export`` holds, or `fer-tune export` would write, in words; empty before the test."""
    if stand.test is None:
        return ""
    file = run.folder.path / "export" / "preprocessing.json"
    if file.is_file():
        try:
            held: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            first, on = held["models"][0], str(held["trained_on"])
        except (ValueError, KeyError, TypeError, IndexError):
            return "`export/preprocessing.json` is damaged; `fer-tune export` writes it again"
        told = score_of(run, str(held["use"]), str(first["config_id"]), int(first["seed"]), on)
        return f"`export/` holds {held['about']}: {told}"
    if stand.winner is None or stand.test.trained_on != "train" or not stand.winner.completed:
        return ""
    best = max(stand.winner.completed, key=lambda result: run.aim.key(getattr(result, run.aim.column)))
    name = f"{stand.test.config_id} seed {best.seed}, trained on train"
    told = score_of(run, "single", stand.test.config_id, best.seed, "train")
    return f"`fer-tune export` writes the best seed on validation, {name}: {told}"


def score_of(run: RunRecord, use: str, config_id: str, seed: int, on: str) -> str:
    """Return what the latest test told of just these models, in words.

    Args:
        run: the run.
        use: ``single``, ``ensemble`` or ``chosen``.
        config_id, seed: of the model, or of the first of several.
        on: what they were trained on.
    """
    test = next((each for each in run.tests if each.config_id == config_id), None)
    found: Estimate | None = None
    if use == "chosen":
        tested = latest_choice(run)
        scores = tested.scores if tested is not None else None
        if tested is not None and tested.choice.combination.kind == "single":
            if scores is not None:
                found = _of_one(run, scores, seed, chosen_folder(run, tested.opening))
            elif test is not None:
                found = _of_one(run, test, seed, run.folder.test(config_id, test.opening))
        elif scores is not None:
            found = scores.accuracy
    elif test is not None and test.trained_on == on:
        if use == "ensemble":
            found = test.ensemble.accuracy if test.ensemble is not None else test.accuracy
        elif seed in test.seeds:
            found = _of_one(run, test, seed, run.folder.test(config_id, test.opening))
    if found is None or test is None:
        return "not tested itself"
    interval = f"95 % interval {percent(found.low)} to {percent(found.high)}"
    return f"{percent(found.value)} % of the {test.images:,} held-out images by itself ({interval})"


def _of_one(run: RunRecord, scores: Scores, seed: int, folder: Path) -> Estimate:
    """Return the accuracy of one seed's model, with its interval for new images or groups.

    Args:
        run: the run.
        scores: of all seeds.
        seed: one of them.
        folder: with what they predict.
    """
    place = scores.seeds.index(seed)
    value = scores.accuracy.per_seed[place]
    if not scores.groups_sampled:
        alone = wilson(value * scores.images, scores.images)
        return Estimate(value=value, low=alone.low, high=alone.high, per_seed=[value])
    own = read_predictions(predictions_file(folder))
    groups = sampled_groups(dataset_card(run), own.groups)
    right = own.probabilities[[place]].argmax(-1) == own.labels
    [found] = mean_estimates(right[..., None], sampling_of(groups, len(own.labels)))
    return found
