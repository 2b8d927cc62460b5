"""A made-up run on a tiny dataset, written anew for each test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from drawing import tiny_dataset
from made_run import Made, load_seed, make_run, predict_seed

from analysis.heldout.opening import run_test
from analysis.results import TestResult
from fer_tune.data.prepared.card import DatasetCard


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DatasetCard]:
    path = tmp_path_factory.mktemp("prepared") / "tiny"
    return path, tiny_dataset(path, n_train=70, n_val=35, n_test=210)


@pytest.fixture
def made(tmp_path: Path, data: tuple[Path, DatasetCard]) -> Made:
    return make_run(tmp_path / "run", data)


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory, data: tuple[Path, DatasetCard]) -> tuple[Made, TestResult]:
    """A run to its end: searched, refitted with the published configurations, tested; not to be changed."""
    made = make_run(tmp_path_factory.mktemp("tested") / "run", data)
    made.refit([[0.6, 0.61, 0.62], [0.5, 0.51, 0.5], [0.4, 0.4, 0.4], [0.3, 0.3, 0.3]], published=2)
    views = ("flip", "ten_crop")
    return made, run_test(made.run, views=views, load=load_seed, predict=predict_seed, device="cpu", resamples=200)


@pytest.fixture
def models() -> dict[str, Any]:
    return {"load": load_seed, "predict": predict_seed, "device": "cpu", "resamples": 100}
