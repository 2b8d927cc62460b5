"""Which model is exported, with its own score: the figures of a report are means over seeds."""

from __future__ import annotations

import json
from typing import Any

from analysis.report.telling.findings import Standing
from analysis.run import RunRecord
from analysis.run.combinations import latest_choice
from analysis.words import percent


def exported(run: RunRecord, stand: Standing) -> str:
    """Return which model ``RUN/export`` holds, or `fer-tune export` would write, in words; empty before the test."""
    if stand.test is None:
        return ""
    file = run.folder.path / "export" / "preprocessing.json"
    if file.is_file():
        held: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        first, on = held["models"][0], str(held["trained_on"])
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
    accuracy = None
    if use == "chosen":
        tested = latest_choice(run)
        scores = tested.scores if tested is not None else None
        if tested is not None and tested.choice.combination.kind == "single":
            scores = scores or test
            accuracy = scores.accuracy.per_seed[scores.seeds.index(seed)] if scores else None
        elif scores is not None:
            accuracy = scores.accuracy.value
    elif test is not None and test.trained_on == on:
        if use == "ensemble":
            accuracy = test.ensemble.accuracy if test.ensemble is not None else test.accuracy.value
        elif seed in test.seeds:
            accuracy = test.accuracy.per_seed[test.seeds.index(seed)]
    if accuracy is None or test is None:
        return "not tested itself"
    return f"{percent(accuracy)} % of the {test.images:,} held-out images by itself"
