"""Which single model is exported, with its own score: the figures of a report are means over seeds."""

from __future__ import annotations

import json
from typing import Any

from analysis.report.findings import Standing
from analysis.run import RunRecord
from analysis.words import percent


def exported(run: RunRecord, stand: Standing) -> str:
    """Return which model ``RUN/export`` holds, or `fer-tune export` would write, in words; empty before the test."""
    if stand.test is None:
        return ""
    file = run.folder.path / "export" / "preprocessing.json"
    if file.is_file():
        held: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        name, seed, on = str(held["config_id"]), int(held["seed"]), str(held["trained_on"])
        return f"`export/` holds {_scored(stand, name, seed, on)}"
    if stand.winner is None or stand.test.trained_on != "train" or not stand.winner.completed:
        return ""
    best = max(stand.winner.completed, key=lambda result: run.aim.key(getattr(result, run.aim.column)))
    told = _scored(stand, stand.test.config_id, best.seed, "train")
    return f"`fer-tune export` writes the best seed on validation, {told}"


def _scored(stand: Standing, config_id: str, seed: int, on: str) -> str:
    name = f"{config_id} seed {seed}, trained on {on}"
    test = stand.tested(config_id)
    if test is None or test.trained_on != on or seed not in test.seeds:
        return f"{name}, which was not tested itself"
    own = test.accuracy.per_seed[test.seeds.index(seed)]
    return f"{name}: {percent(own)} % of the {test.images:,} held-out images by itself"
