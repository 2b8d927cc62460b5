"""The study behind the searcher: true to how each trial ended, and in step with Tune after a resume."""

from __future__ import annotations

import errno
import math
import os
import pickle
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from fer_tune.config import trial_config
from fer_tune.objectives import OBJECTIVES
from fer_tune.run_folder import Published, RunFolder
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.proposing.studies import open_studies
from fer_tune.search.running.ending import Limits
from fer_tune.search.spaces.loading import from_resolved

SPACE = {
    "backbone": "cnn_residual",
    "search": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}, "optimizer": {"choice": ["adamw", "sgd"]}},
    "fixed": {"augmentation": 0.1},
}
PAPER = Published(
    name="paper/net", source="a paper", dataset="tiny", config={"learning_rate": 1e-3, "optimizer": "adam"}
)


def searcher(tmp_path, trials=3, published=(), backbones=("cnn_residual",), seed=0) -> StudySearcher:
    spaces = {name: from_resolved({**SPACE, "backbone": name}) for name in backbones}
    return StudySearcher(spaces, {name: list(published) for name in backbones}, trials, 5, seed, RunFolder(tmp_path))


def study(tmp_path, name="cnn_residual"):
    return open_studies(tmp_path / "study.journal", [name], 0)[name]


def result(epoch, value, finished=False, **more):
    return {"epoch": epoch, "best_val_accuracy": value, "finished": finished, **more}


def test_a_study_needs_no_symbolic_links(tmp_path, monkeypatch):
    """Google Drive, exFAT and SMB have none."""

    def refused(*arguments, **options):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "symlink", refused)
    tried = searcher(tmp_path)
    assert tried.suggest("one")
    tried.on_trial_result("one", result(1, 0.5))
    tried.on_trial_complete("one", result(1, 0.5, finished=True))
    assert [trial.state for trial in study(tmp_path).trials] == [TrialState.COMPLETE]
    assert [file.name for file in tmp_path.iterdir()] == ["study.journal"]


def test_suggests_complete_settings_and_then_no_more(tmp_path):
    search = searcher(tmp_path, trials=2)
    for name in ("a", "b"):
        settings = search.suggest(name)
        assert settings.pop("origin") == "searched"
        config = trial_config(settings)
        assert (config.epochs, config.seed, config.backbone, config.augmentation) == (5, 0, "cnn_residual", 0.1)
        assert 1e-4 <= config.learning_rate <= 1e-1
    assert search.suggest("c") == Searcher.FINISHED


def test_published_configurations_come_first_and_as_published(tmp_path):
    search = searcher(tmp_path, published=[PAPER])
    first = search.suggest("a")
    assert first["origin"] == "paper/net"
    assert (first["learning_rate"], first["optimizer"]) == (1e-3, "adam")
    assert search.suggest("b")["origin"] == "searched"


def with_random_share(tmp_path, share, trials=12, published=()) -> StudySearcher:
    spaces = {"cnn_residual": from_resolved(SPACE)}
    first = {"cnn_residual": list(published)}
    return StudySearcher(spaces, first, trials, 5, 0, RunFolder(tmp_path), random_share=share)


def test_a_share_of_the_drawn_trials_is_drawn_at_random_and_says_so(tmp_path):
    search = with_random_share(tmp_path, 0.25, trials=13, published=[PAPER])
    origins = [search.suggest(str(number))["origin"] for number in range(13)]
    assert origins == ["paper/net", *(["searched"] * 3 + ["random"]) * 3]  # spread evenly, whatever the results
    kept = [trial.user_attrs.get("origin") for trial in study(tmp_path).trials]
    assert kept.count("random") == 3


def test_the_random_share_learns_nothing_from_results(tmp_path):
    search = with_random_share(tmp_path, 0.5, trials=60)
    rates = {"searched": [], "random": []}
    for number in range(60):
        given = search.suggest(str(number))
        near = -abs(math.log10(given["learning_rate"]) + 1.2)  # good close to the upper end
        search.on_trial_complete(str(number), result(5, 0.9 + 0.2 * near, finished=True))
        if number >= 20:
            rates[given["origin"]].append(math.log10(given["learning_rate"]))
    spread = {name: max(values) - min(values) for name, values in rates.items()}
    mean = {name: sum(values) / len(values) for name, values in rates.items()}
    assert spread["random"] > 2
    assert mean["random"] < mean["searched"] - 0.4  # the sampler has moved up, the random share has not


def test_without_a_random_share_every_trial_is_the_samplers(tmp_path):
    search = with_random_share(tmp_path, 0.0)
    assert {search.suggest(str(number))["origin"] for number in range(12)} == {"searched"}


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
    assert [resumed.suggest(str(index))["origin"] for index in range(3)] == ["searched"] * 3
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


def with_second(tmp_path, second, sampler="tpe", scheduler="asha"):
    searched = {**SPACE["search"], "image_size": {"choice": [24, 48]}}
    space = from_resolved({**SPACE, "search": searched})
    run = RunFolder(tmp_path)
    return StudySearcher({"cnn_residual": space}, {}, 40, 5, 0, run, sampler, scheduler, second)


def test_a_second_objective_is_told_with_the_accuracy(tmp_path):
    search = with_second(tmp_path, "latency")
    for name in ("done", "stopped", "died", "unmeasured"):
        search.suggest(name)
    search.on_trial_result("done", result(1, 0.3, latency_ms=2.0))
    search.on_trial_complete("done", result(2, 0.5, finished=True, latency_ms=2.0))
    search.on_trial_complete("stopped", result(1, 0.2, latency_ms=3.0))
    search.on_trial_complete("died", error=True)
    search.on_trial_complete("unmeasured", result(2, 0.5, finished=True))
    opened = study(tmp_path)
    assert [direction.name for direction in opened.directions] == ["MAXIMIZE", "MINIMIZE"]
    done, stopped, died, unmeasured = opened.trials
    assert (done.state, done.values) == (TrialState.COMPLETE, [0.5, 2.0])
    assert (stopped.state, stopped.values) == (TrialState.PRUNED, None)
    assert {died.state, unmeasured.state} == {TrialState.FAIL}
    assert opened.best_trials == [done]


def test_seconds_are_the_median_epoch_s_also_after_a_resume(tmp_path):
    search = with_second(tmp_path, "seconds")
    search.suggest("a")
    search.on_trial_result("a", result(1, 0.3, seconds=9.0))
    search.save(str(tmp_path / "snapshot"))
    resumed = pickle.loads(pickle.dumps(search))
    resumed.restore(str(tmp_path / "snapshot"))
    resumed.on_trial_result("a", result(2, 0.4, seconds=2.0))
    resumed.on_trial_complete("a", result(3, 0.5, finished=True, seconds=1.0))
    assert study(tmp_path).trials[0].values == [0.5, 2.0]


def test_what_no_setting_changes_is_not_told(tmp_path):
    search = with_second(tmp_path, "parameters")
    search.suggest("a")
    search.on_trial_result("a", result(1, 0.3, parameters=100))
    search.on_trial_complete("a", result(2, 0.5, finished=True, parameters=100))
    opened = study(tmp_path)
    assert [direction.name for direction in opened.directions] == ["MAXIMIZE"]
    assert opened.trials[0].intermediate_values == {1: 0.3, 2: 0.5}


@pytest.mark.parametrize("sampler", ["tpe", "gp", "grid", "random"])
def test_samplers_draw_with_a_second_objective_and_stopped_trials(tmp_path, sampler):
    search = with_second(tmp_path, "latency", sampler)
    for index in range(16):
        settings = search.suggest(f"t{index}")
        assert isinstance(settings, dict)
        latency = settings["image_size"] / 10
        search.on_trial_complete(f"t{index}", result(5, 0.5, finished=index % 3 == 0, latency_ms=latency))
    states = [trial.state for trial in study(tmp_path).trials]
    assert states.count(TrialState.COMPLETE) == 6
    assert states.count(TrialState.PRUNED) == 10


def test_a_small_grid_ends_before_the_other_backbone_does(tmp_path):
    small = {"backbone": "cnn_residual", "search": {"optimizer": {"choice": ["adamw", "sgd"]}}}
    large = {**small, "backbone": "cnn_baseline", "search": {"batch_size": {"choice": [8, 16, 32, 64, 128]}}}
    spaces = {each["backbone"]: from_resolved(each) for each in (small, large)}
    search = StudySearcher(spaces, {}, 4, 5, 0, RunFolder(tmp_path), "grid")
    names = [search.suggest(str(index))["backbone"] for index in range(6)]
    assert names == ["cnn_residual", "cnn_baseline"] * 2 + ["cnn_baseline"] * 2
    assert search.suggest("x") == Searcher.FINISHED


def resumed(search: StudySearcher, folder, **more) -> StudySearcher:
    """Return a searcher as a resume makes it, with what ``search`` knew."""
    search.save(str(folder / "snapshot"))
    spaces = {"cnn_residual": from_resolved(SPACE)}
    fresh = StudySearcher(spaces, {}, 0, 9, 0, RunFolder(folder), resuming=True, **more)
    fresh.restore(str(folder / "snapshot"))
    return fresh


def test_a_resume_may_go_on_beyond_the_end_with_other_epochs(tmp_path):
    search = searcher(tmp_path, trials=1)
    search.suggest("a")
    assert search.suggest("b") == Searcher.FINISHED
    fresh = resumed(search, tmp_path, planned={"cnn_residual": 2})
    assert fresh.suggest("b")["epochs"] == 9
    assert fresh.suggest("c") == Searcher.FINISHED
    assert len(study(tmp_path).trials) == 2


def test_failed_trials_are_tried_again_with_their_settings_and_once(tmp_path):
    search = searcher(tmp_path, published=[PAPER])
    settings = {name: search.suggest(name) for name in ("paper", "drawn", "good")}
    search.on_trial_complete("paper", error=True)
    search.on_trial_complete("drawn", result(0, math.nan, finished=True, error="no memory"))
    again = {"planned": {"cnn_residual": 6}, "retried": {"cnn_residual": ["paper", "drawn"]}}
    fresh = resumed(search, tmp_path, **again)
    assert fresh.suggest("p2") == {**settings["paper"], "epochs": 9}
    fresh = resumed(fresh, tmp_path, **again)  # a resume more: what is enqueued is not enqueued twice
    assert fresh.suggest("d2") == {**settings["drawn"], "epochs": 9}
    assert fresh.suggest("new")["learning_rate"] not in {each["learning_rate"] for each in settings.values()}


def test_a_retried_trial_that_is_lost_with_the_driver_is_tried_again(tmp_path):
    search = searcher(tmp_path)
    settings = search.suggest("a")
    search.on_trial_complete("a", error=True)
    again = {"planned": {"cnn_residual": 2}, "retried": {"cnn_residual": ["a"]}}
    fresh = resumed(search, tmp_path, **again)
    fresh.save(str(tmp_path / "before"))
    fresh.suggest("lost")
    spaces = {"cnn_residual": from_resolved(SPACE)}
    fresh = StudySearcher(spaces, {}, 0, 5, 0, RunFolder(tmp_path), resuming=True, **again)
    fresh.restore(str(tmp_path / "before"))
    assert fresh.suggest("b") == settings


def test_a_grid_retries_a_point_and_leaves_the_others(tmp_path):
    space = from_resolved({"backbone": "cnn_residual", "search": {"optimizer": {"choice": ["adamw", "sgd"]}}})
    run, spaces = RunFolder(tmp_path), {"cnn_residual": space}
    search = StudySearcher(spaces, {}, 4, 5, 0, run, "grid")
    first = search.suggest("a")
    search.on_trial_complete("a", error=True)
    search.save(str(tmp_path / "snapshot"))
    planned, retried = {"cnn_residual": 3}, {"cnn_residual": ["a"]}
    fresh = StudySearcher(spaces, {}, 4, 5, 0, run, "grid", planned=planned, retried=retried, resuming=True)
    fresh.restore(str(tmp_path / "snapshot"))
    assert fresh.suggest("b") == first
    assert fresh.suggest("c")["optimizer"] != first["optimizer"]
    assert fresh.suggest("d") == Searcher.FINISHED


@pytest.mark.parametrize("told_first", ["failed", "completed"])
def test_a_trial_that_ends_otherwise_after_a_resume_is_told_so(tmp_path, told_first):
    """It had ended, but Tune had not saved it: Tune runs it again, and its word is that of the tables."""
    search = searcher(tmp_path)
    settings = search.suggest("a")
    search.save(str(tmp_path / "snapshot"))
    good, bad = result(2, 0.6, finished=True), result(0, math.nan, finished=True, error="EIO")
    first, last = (bad, good) if told_first == "failed" else (good, bad)
    search.on_trial_complete("a", first)
    fresh = resumed_from(tmp_path)
    fresh.on_trial_complete("a", last)
    told = {trial.user_attrs["trial_id"]: trial for trial in study(tmp_path).trials}["a"]
    assert told.state == (TrialState.COMPLETE if told_first == "failed" else TrialState.FAIL)
    assert told.params["learning_rate"] == settings["learning_rate"]


def resumed_from(folder) -> StudySearcher:
    spaces = {"cnn_residual": from_resolved(SPACE)}
    fresh = StudySearcher(spaces, {}, 3, 5, 0, RunFolder(folder), resuming=True)
    fresh.restore(str(folder / "snapshot"))
    return fresh


def test_a_study_of_losses_minimises_also_after_a_resume(tmp_path):
    loss = OBJECTIVES["val_loss"]
    spaces = {"cnn_residual": from_resolved(SPACE)}
    search = StudySearcher(spaces, {}, 3, 5, 0, RunFolder(tmp_path), aim=loss)
    assert search.mode == "min"
    for name, value in (("a", 1.2), ("b", 0.8)):
        search.suggest(name)
        search.on_trial_complete(name, {"epoch": 1, loss.best: value, "best_val_accuracy": value, "finished": True})
    search.save(str(tmp_path / "saved"))
    again = StudySearcher(spaces, {}, 3, 5, 0, RunFolder(tmp_path), aim=loss, resuming=True)
    again.restore(str(tmp_path / "saved"))
    assert study(tmp_path).best_value == 0.8
    assert [trial.value for trial in study(tmp_path).trials] == [1.2, 0.8]


SIZES = {
    "backbone": "cnn_residual",
    "search": {
        "image_size": {"choice": [48, 96, 128]},
        "batch_size": {"choice": [16, 32, 64]},
        "learning_rate": {"log_uniform": [1e-4, 1e-1]},
    },
}


def test_what_does_not_fit_into_memory_is_kept_away_from_and_the_search_goes_to_its_end(tmp_path, monkeypatch):
    """One combination in nine never fits, and larger images are better."""
    asked: list[int] = []
    monkeypatch.setattr("fer_tune.search.running.ending.ask_to_stop", lambda: asked.append(1))
    late = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        search = StudySearcher({"cnn_residual": from_resolved(SIZES)}, {}, 45, 5, seed, RunFolder(folder))
        limits = Limits(None)
        drawn = 0
        while isinstance(settings := search.suggest(name := f"t{drawn}"), dict):
            too_large = (settings["image_size"], settings["batch_size"]) == (128, 64)
            value = 0.4 + settings["image_size"] / 1000 - 0.05 * abs(math.log10(settings["learning_rate"]) + 2.5)
            ended = result(5, value, finished=True)
            if too_large:
                ended = result(0, math.nan, finished=True, error="out of memory at batch_size 64", too_large=True)
            trial = SimpleNamespace(trial_id=name)
            limits.on_trial_result(1, [], trial, ended)
            limits.on_trial_complete(1, [], trial)
            search.on_trial_complete(name, ended)
            late += [too_large] if drawn >= 15 else []
            drawn += 1
        assert drawn == 45
        trials = study(folder).trials
        assert {trial.state for trial in trials if trial.constraints} <= {TrialState.PRUNED}
    assert not asked  # no search gave up
    assert sum(late) / len(late) < 1 / 9  # by chance it is one in nine, and the values draw it there


def test_a_trial_that_is_too_large_after_all_is_so_in_the_study(tmp_path):
    search = searcher(tmp_path)
    search.suggest("a")
    search.on_trial_complete("a", result(5, 0.5, finished=True))  # told, and then the driver died
    search.on_trial_complete("a", result(0, math.nan, finished=True, error="out of memory", too_large=True))
    first, again = study(tmp_path).trials
    assert (first.state, again.state, again.params) == (TrialState.COMPLETE, TrialState.PRUNED, first.params)
    assert again.constraints == {"too_large": 1.0}
