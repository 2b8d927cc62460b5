"""A run that was searched, refitted and tested, made up on a tiny dataset, for the tests of what W&B is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drawing import tiny_dataset
from fake_run import FakeRun, guesses

from analysis import Run, load_run
from analysis.heldout.opening import run_test
from analysis.refits.plan import plan_refits
from analysis.results import TestResult
from fer_tune.filing.files import write_json


def whole_run(folder: Path) -> tuple[Run, TestResult]:
    """Return a run of two refitted configurations, one of them published, and its test."""
    card = tiny_dataset(folder / "data", n_train=14, n_val=14, n_test=140)
    fake = FakeRun(
        folder / "whole",
        dataset=folder / "data",
        content_hash=card.content_hash,
        dataset_name=card.name,
        backbones=("cnn_residual",),
        trials=24,
        seed=1,
    )
    fake.write()
    run = load_run(fake.path)
    plan = plan_refits(run, top=1, seeds=2, published=True)
    write_json(plan, run.folder.refit_file)
    for place, config in enumerate(plan.configs):
        for seed in plan.seeds:
            fake.refit(run.folder, config.config_id, seed, 0.6 - place / 10 + (seed == plan.seeds[1]) / 100)
    run = load_run(fake.path)
    return run, run_test(run, load=load, predict=predict, device="cpu", resamples=50)


def load(config: Any, card: Any, checkpoint: Path, device: Any) -> int:
    """Stand in for `load_model`: the placeholder of `FakeRun.refit` holds the seed."""
    return int(checkpoint.read_text())


def predict(model: int, split: Any, card: Any, device: Any) -> Any:
    """Stand in for `predict`."""
    return guesses(split.labels, 0.65, len(card.classes), model)
