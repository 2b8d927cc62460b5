"""The study behind the searcher: true to how each trial ended, and in step with Tune after a resume."""

from __future__ import annotations

import math
import pickle

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from fer_tune.config import trial_config
from fer_tune.run_folder import Published
from fer_tune.search.searcher import StudySearcher, open_studies
from fer_tune.search.space import SearchSpace

SPACE = {
    "backbone": "cnn_residual",
    "search": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}, "optimizer": {"choice": ["adamw", "sgd"]}},
    "fixed": {"augmentation": 0.1},
}
PAPER = Published(
    name="paper/net", source="a paper", dataset="tiny", config={"learning_rate": 1e-3, "optimizer": "adam"}
)


def searcher(tmp_path, trials=3, published=(), backbones=("cnn_residual",), seed=0) -> StudySearcher:
    spaces = {name: SearchSpace.from_resolved({**SPACE, "backbone": name}) for name in backbones}
    return StudySearcher(
        spaces, {name: list(published) for name in backbones}, trials, 5, seed, tmp_path / "study.journal"
    )


def study(tmp_path, name="cnn_residual"):
    return open_studies(tmp_path / "study.journal", [name], 0)[name]


def result(epoch, value, finished=False, **more):
    return {"epoch": epoch, "best_val_accuracy": value, "finished": finished, **more}


def test_suggests_complete_settings_and_then_no_more(tmp_path):
    search = searcher(tmp_path, trials=2)
    for name in ("a", "b"):
        settings = search.suggest(name)
        assert settings.pop("origin") == "sampled"
        config = trial_config(settings)
        assert (config.epochs, config.seed, config.backbone, config.augmentation) == (5, 0, "cnn_residual", 0.1)
        assert 1e-4 <= config.learning_rate <= 1e-1
    assert search.suggest("c") == Searcher.FINISHED


def test_published_configurations_come_first_and_as_published(tmp_path):
    search = searcher(tmp_path, published=[PAPER])
    first = search.suggest("a")
    assert first["origin"] == "paper/net"
    assert (first["learning_rate"], first["optimizer"]) == (1e-3, "adam")
    assert search.suggest("b")["origin"] == "sampled"


def test_backbones_take_turns_with_a_study_each(tmp_path):
    search = searcher(tmp_path, trials=2, backbones=("cnn_residual", "cnn_baseline"))
    names = [search.suggest(str(index))["backbone"] for index in range(4)]
    assert names == ["cnn_residual", "cnn_baseline"] * 2
    assert search.suggest("x") == Searcher.FINISHED
    assert len(study(tmp_path, "cnn_baseline").trials) == 2


def test_how_a_trial_ends_is_told_to_the_study(tmp_path):
    search = searcher(tmp_path, trials=5)
    for name in ("done", "stopped", "died", "nan", "refused"):
        search.suggest(name)
    search.on_trial_result("done", result(1, 0.3))
    search.on_trial_complete("done", result(2, 0.5, finished=True))
    search.on_trial_complete("stopped", result(1, 0.2))
    search.on_trial_complete("died", error=True)
    search.on_trial_complete("nan", result(1, math.nan, finished=True))
    search.on_trial_complete("refused", result(0, math.nan, finished=True, error="out of memory"))
    done, stopped, *failed = study(tmp_path).trials
    assert (done.state, done.value, done.intermediate_values) == (TrialState.COMPLETE, 0.5, {1: 0.3, 2: 0.5})
    assert (stopped.state, stopped.intermediate_values) == (TrialState.PRUNED, {1: 0.2})
    assert {trial.state for trial in failed} == {TrialState.FAIL}


def test_a_seed_repeats_the_suggestions(tmp_path):
    def rates(folder, seed):
        folder.mkdir()
        search = searcher(folder, trials=4, seed=seed)
        return [search.suggest(str(index))["learning_rate"] for index in range(4)]

    assert rates(tmp_path / "a", 1) == rates(tmp_path / "b", 1)
    assert rates(tmp_path / "c", 1) != rates(tmp_path / "d", 2)


def test_resume_when_the_study_is_ahead_of_the_snapshot(tmp_path):
    search = searcher(tmp_path, trials=4, published=[PAPER])
    search.suggest("kept")
    search.on_trial_result("kept", result(1, 0.4))
    search.save(str(tmp_path / "snapshot"))
    unpickled = pickle.dumps(search)
    search.on_trial_complete("kept", result(2, 0.6, finished=True))  # after the snapshot: Tune forgets these
    search.suggest("orphan")

    resumed = pickle.loads(unpickled)
    resumed.restore(str(tmp_path / "snapshot"))
    assert [trial.state for trial in study(tmp_path).trials] == [TrialState.COMPLETE, TrialState.FAIL]
    resumed.on_trial_result("kept", result(2, 0.6))  # Tune runs the epoch again
    resumed.on_trial_complete("kept", result(2, 0.6, finished=True))
    assert [resumed.suggest(str(index))["origin"] for index in range(3)] == ["sampled"] * 3
    assert resumed.suggest("x") == Searcher.FINISHED
    states = [trial.state for trial in study(tmp_path).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL] + [TrialState.RUNNING] * 3


def test_a_published_configuration_lost_with_the_driver_is_tried_again(tmp_path):
    search = searcher(tmp_path, published=[PAPER])
    search.save(str(tmp_path / "snapshot"))
    unpickled = pickle.dumps(search)
    assert search.suggest("orphan")["origin"] == "paper/net"
    resumed = pickle.loads(unpickled)
    resumed.restore(str(tmp_path / "snapshot"))
    again = resumed.suggest("again")
    assert again["origin"] == "paper/net"
    assert again["optimizer"] == "adam"


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_epoch_is_told_once(tmp_path, epoch):
    search = searcher(tmp_path)
    search.suggest("a")
    search.on_trial_result("a", result(epoch, 0.4))
    search.on_trial_result("a", result(epoch, 0.9))
    assert study(tmp_path).trials[0].intermediate_values == {epoch: 0.4}
