from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from earlier_run import made

from fer_tune.errors import UserError
from fer_tune.filing.tables import write_table
from fer_tune.objectives import OBJECTIVES
from fer_tune.run_folder import EPOCH_COLUMNS, RunFolder
from fer_tune.search.options import SearchOptions
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.proposing.warm_start import best_of, best_of_all, starts
from fer_tune.search.spaces.loading import from_resolved


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    return made(tmp_path / "earlier", good=5e-3, fair=2e-3)


def test_the_best_come_first_and_failed_ones_not_at_all(earlier):
    found = best_of(earlier, ["cnn_residual", "resnet18"], 2)
    assert [candidate.name for candidate in found["cnn_residual"]] == ["earlier/good", "earlier/fair"]
    assert found["cnn_residual"][0].config == {"learning_rate": 5e-3}
    assert found["resnet18"] == []


def test_they_are_the_best_by_what_is_searched_for_now(earlier):
    def epoch(trial: str, number: int, accuracy: float, loss: float) -> dict[str, Any]:
        return {"trial_id": trial, "epoch": number, "val_accuracy": accuracy, "val_loss": loss}

    curves = [epoch("good", 1, 0.4, 1.3), epoch("good", 2, 0.6, 1.9), epoch("fair", 1, 0.5, 1.1)]
    write_table(curves, EPOCH_COLUMNS, RunFolder(earlier).epochs_file)
    found = best_of(earlier, ["cnn_residual"], 2, OBJECTIVES["val_loss"])["cnn_residual"]
    assert [candidate.name for candidate in found] == ["earlier/fair", "earlier/good"]


def test_they_are_the_first_trials_of_the_new_search(earlier, tmp_path):
    space = from_resolved({"backbone": "cnn_residual", "search": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}}})
    searcher = StudySearcher(
        {"cnn_residual": space}, best_of(earlier, ["cnn_residual"], 2), 3, 5, 0, RunFolder(tmp_path)
    )
    drawn = [searcher.suggest(name) for name in "abc"]
    assert [(settings["origin"], settings["learning_rate"]) for settings in drawn[:2]] == [  # type: ignore[index]
        ("earlier/good", 5e-3),
        ("earlier/fair", 2e-3),
    ]
    assert drawn[2]["origin"] == "searched"  # type: ignore[index]


def test_a_run_without_these_backbones_is_refused(earlier):
    with pytest.raises(UserError, match=r"no trial of resnet18 to start from; it has trials of: cnn_residual"):
        best_of(earlier, ["resnet18"], 2)


def test_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        best_of(tmp_path / "nowhere", ["resnet18"], 2)


def test_of_several_runs_the_best_of_each_come_before_the_second(earlier, tmp_path):
    other = made(tmp_path / "other", good=7e-3, fair=5e-3)
    found = best_of_all([earlier, other], ["cnn_residual", "resnet18"], 2)
    names = ["earlier/good", "other/good", "earlier/fair"]  # what other's second would be stands first
    assert [entry.name for entry in found["cnn_residual"]] == names
    assert found["resnet18"] == []
    assert [entry.config["learning_rate"] for entry in found["cnn_residual"]] == [5e-3, 7e-3, 2e-3]


def test_a_folder_stands_for_its_runs_but_those_of_other_backbones(tmp_path):
    made(tmp_path / "runs" / "b", good=7e-3, fair=3e-3)
    made(tmp_path / "runs" / "a", good=5e-3, fair=2e-3)
    made(tmp_path / "runs" / "c", good=1e-3, fair=2e-3, backbone="resnet18")
    (tmp_path / "runs" / "notes").mkdir()
    found = best_of_all([tmp_path / "runs"], ["cnn_residual"], 1)
    assert [entry.name for entry in found["cnn_residual"]] == ["a/good", "b/good"]
    with pytest.raises(UserError, match=r"--warm-start .*runs: no run in it \(3\) has a trial of resnet50"):
        best_of_all([tmp_path / "runs"], ["resnet50"], 1)
    with pytest.raises(UserError, match=r"not a run folder: no search.yaml in it"):
        best_of_all([tmp_path / "runs" / "notes"], ["cnn_residual"], 1)


def test_settings_that_leave_nothing_to_be_drawn_are_refused(earlier, tmp_path):
    other = made(tmp_path / "other", good=7e-3, fair=3e-3)
    space = from_resolved({"backbone": "cnn_residual", "search": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}}})

    def first(trials: int) -> int:
        asked = SearchOptions("d", ["cnn_residual"], trials=trials, warm_start=[str(earlier), str(other)])
        return len(starts(asked, {"cnn_residual": space})["cnn_residual"])

    assert first(6) == 5  # the poor trials of both are the same
    with pytest.raises(UserError, match=r"5 configurations .*, the best 3 of each run, leave none of --trials 5"):
        first(5)


def test_a_run_that_informs_the_sampler_may_have_other_backbones(earlier, tmp_path):
    made(tmp_path / "runs" / "a", good=5e-3, fair=2e-3)
    assert best_of_all([earlier, tmp_path / "runs"], ["resnet18"], 2, informing=["earlier", "a"]) == {"resnet18": []}
    with pytest.raises(UserError, match="no trial of resnet18"):
        best_of_all([earlier], ["resnet18"], 2, informing=["a"])
    with pytest.raises(UserError, match=r"no run in it \(1\) has a trial of resnet18"):
        best_of_all([tmp_path / "runs"], ["resnet18"], 2, informing=["earlier"])
