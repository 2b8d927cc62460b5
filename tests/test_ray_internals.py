"""Each point that leans on the inside of Ray is where it was in Ray 2.60, and what made it necessary is still so."""

from __future__ import annotations

import functools
import inspect
import os
import signal
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import ray._private.node
import ray._private.services

# isort: split
import psutil  # Ray brings it
from ray import tune
from ray._private import parameter
from ray.tune.execution import tune_controller
from ray.tune.execution.tune_controller import TuneController
from ray.tune.impl.tuner_internal import TunerInternal
from ray.tune.search import ConcurrencyLimiter, Searcher, SearchGenerator
from ray.tune.utils.object_cache import _ObjectCache

from fer_tune import ray_internals
from fer_tune.search.running.open_ended import OpenEnded

SEEN = f"as seen in Ray 2.60, not in {version('ray')}"


class Trial(SimpleNamespace):
    __hash__ = object.__hash__


@pytest.mark.parametrize("retired", [False, True])
def test_tune_reuses_a_process_unless_it_is_made_to_forget_it(retired: bool) -> None:
    trial = Trial(placement_group_factory="one CPU", set_ray_actor=lambda actor: None)
    controller: Any = SimpleNamespace(
        _reuse_actors=True,
        _search_alg=SimpleNamespace(is_finished=lambda: False),
        _staged_trials=set(),
        _trial_to_actor={trial: "process"},
        _actor_to_trial={"process": trial},
        _started_actors={"process"},
        _actor_manager=SimpleNamespace(is_actor_started=lambda actor: True, is_actor_failed=lambda actor: False),
        _actor_cache=_ObjectCache(may_keep_one=True),
    )
    if retired:
        ray_internals.retire(controller, trial)  # type: ignore[arg-type]
    assert TuneController._maybe_cache_trial_actor(controller, trial) is not retired, SEEN


def test_tune_s_controller_keeps_its_processes_under_these_names() -> None:
    made = inspect.getsource(TuneController.__init__)
    for name in ("self._trial_to_actor: Dict[Trial, TrackedActor] = {}", "self._started_actors: Set[TrackedActor]"):
        assert name in made, SEEN


class Listens(tune.Callback):
    heard: list[bool]

    def __init__(self) -> None:
        self.heard = []

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        self.heard.append(ray_internals.tune_listens())


def test_a_trial_placed_by_the_head_s_resource_knows_its_storage_and_tune_listens(
    ray_local: None, tmp_path: Path
) -> None:
    def trial(config: dict[str, Any]) -> None:
        path, filesystem = ray_internals.trial_storage()
        tune.report({"path": path, "filesystem": filesystem.type_name})

    assert ray.cluster_resources()[ray_internals.HEAD_NODE] == 1.0, SEEN
    signal.signal(ray_internals.STOP_SIGNAL, signal.SIG_DFL)
    assert not ray_internals.tune_listens()
    listens = Listens()
    (result,) = tune.Tuner(
        tune.with_resources(trial, {ray_internals.HEAD_NODE: 0.001}),
        tune_config=tune.TuneConfig(trial_dirname_creator=lambda trial: "one"),
        run_config=tune.RunConfig(name="tune", storage_path=str(tmp_path), callbacks=[listens], verbose=0),
    ).fit()
    assert result.error is None
    assert (result.metrics["path"], result.metrics["filesystem"]) == (str(tmp_path / "tune" / "one"), "local"), SEEN
    assert set(listens.heard) == {True}, SEEN


def test_what_is_unused_is_known_by_node(ray_local: None) -> None:
    (node,) = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    assert ray_internals.unused_by_node()[node]["CPU"] <= 2, SEEN
    assert "CPU" in ray.available_resources(), "the sum over nodes is all that is public"


def test_a_start_that_times_out_says_so() -> None:
    """These are Ray's words, with a break of the line where its source has one."""
    assert "The current node timed out during startup." in inspect.getsource(ray._private.node.Node.__init__), SEEN
    assert ray_internals.startup_timed_out(Exception("The current node timed out during startup. This could ..."))
    assert not ray_internals.startup_timed_out(Exception("Ray is built for another Python"))


def test_the_raylet_knows_its_niceness_by_this_name() -> None:
    name = ray_internals.NICENESS.removeprefix("RAY_")
    assert name.encode() in Path(ray._private.services.RAYLET_EXECUTABLE).read_bytes(), SEEN


def test_tune_keeps_one_trial_pending_unless_it_is_given_a_bound() -> None:
    """Why there is `fer_tune.search.cluster.room`; no longer so, and Tune could follow a cluster by itself."""
    searcher = Searcher(metric="a", mode="max")
    pending = tune_controller._get_max_pending_trials
    assert pending(SearchGenerator(searcher)) == 1, SEEN
    assert pending(SearchGenerator(ConcurrencyLimiter(searcher, max_concurrent=5))) == 5, SEEN


def test_tune_does_not_save_its_scheduler() -> None:
    """Why there is `fer_tune.search.stopping_early.resumable`."""
    saved = inspect.getsource(TuneController.save_to_dir)
    assert "_search_alg.save_to_dir" in saved, SEEN
    assert "_callbacks.save_to_dir" in saved, SEEN
    assert "scheduler" not in saved, SEEN
    assert '"_scheduler_alg"' in inspect.getsource(TuneController.__getstate__), f"it is left out, {SEEN}"


def test_a_new_tuner_in_a_folder_is_what_is_restored_there() -> None:
    """Or a resume can be told its searcher, scheduler and callbacks, and need not write a Tuner down first."""
    assert not {"tune_config", "run_config"} & inspect.signature(tune.Tuner.restore).parameters.keys(), SEEN
    made = inspect.getsource(TunerInternal.__init__)
    assert "_TUNER_PKL" in made, SEEN
    assert "open_output_stream" in made, SEEN
    assert "search_alg=self._tune_config.search_alg" in inspect.getsource(TunerInternal._fit_resume), SEEN


def test_tune_brings_back_the_end_of_a_search_unless_it_is_open_ended() -> None:
    """What is saved: that there are no more trials, how many there are, and how many may run side by side."""

    class Ends(Searcher):
        def suggest(self, trial_id: str) -> Any:
            return Searcher.FINISHED

    ended = SearchGenerator(ConcurrencyLimiter(Ends(), 1))
    ended._finished, ended._total_samples = True, 3
    assert {"finished", "total_samples"} <= ended.get_state().keys(), SEEN
    stock, ours = SearchGenerator(ConcurrencyLimiter(Ends(), 2)), OpenEnded(Ends(), 2)
    for each in (stock, ours):
        each.searcher.set_state(ended.searcher.get_state())
        each.set_state(ended.get_state())
    assert (stock.is_finished(), stock.searcher.max_concurrent) == (True, 1), SEEN
    assert (ours.is_finished(), ours.searcher.max_concurrent) == (False, 2), SEEN


def test_a_trial_is_put_into_the_folder_of_now() -> None:
    old, new = (SimpleNamespace(storage_filesystem=n, storage_fs_path=n, experiment_dir_name=n) for n in "ab")
    trial: Any = SimpleNamespace(storage=old, set_storage=lambda storage: vars(trial).update(storage=storage))
    ray_internals.at_home(SimpleNamespace(_storage=new), trial)  # type: ignore[arg-type]
    assert trial.storage == new
    restores = inspect.getsource(TuneController._restore_trials)
    for name in vars(new):
        assert f"new_storage.{name} = self._storage.{name}" in restores, SEEN
    assert "self._experiment = state" in inspect.getsource(SearchGenerator.set_state), SEEN


def test_a_session_s_longest_socket_is_as_long_as_reckoned() -> None:
    source = inspect.getsource(ray._private.node.Node)
    assert 'f"session_{date_str}_{os.getpid()}"' in source, SEEN
    assert '"plasma_store"' in source, SEEN
    sample = f"/session_{datetime(2026, 1, 1):%Y-%m-%d_%H-%M-%S_%f}_{2**22}/sockets/plasma_store"
    assert len(ray_internals.SOCKET) == len(sample)
    assert 'os.path.join(self._session_dir, "sockets")' in source, SEEN


def test_a_ray_that_is_started_here_leaves_the_agent_s_port_to_others(ray_local: None) -> None:
    taken = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just ended
            listening = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
            taken |= {each.laddr.port for each in listening}
    assert taken
    assert 52365 not in taken
    with ray_internals.any_agent_port():
        assert parameter.RayParams().dashboard_agent_listen_port == 0
    assert parameter.RayParams().dashboard_agent_listen_port == 52365, SEEN  # of others


def test_missing_packages_of_the_dashboard_are_known_by_these_words() -> None:
    error = Exception("Cannot include dashboard with missing packages.")
    assert ray_internals.dashboard_missing(error)
    assert str(error) in inspect.getsource(ray._private.services.start_api_server), SEEN


def test_what_auto_stands_for_is_known_before_it_is_joined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray notes where ``ray start`` was last, and the note outlives it."""
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray._private.services, "_cached_find_gcs_addresses", functools.cache(frozenset))
    assert ray_internals.ray_here() == "", SEEN
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.1:6399", encoding="utf-8")
    assert ray_internals.ray_here() == "10.0.0.1:6399", SEEN
    asked = inspect.getsource(ray.init)
    assert "services.canonicalize_bootstrap_address(address, _temp_dir)" in asked, SEEN


def test_a_worker_knows_the_address_of_its_own_ray(ray_local):
    """Else the state API finds two Rays where two are on a machine, and takes neither."""

    @ray.remote(num_cpus=0)
    def address() -> str:
        ray_internals.know_own_address()
        return os.environ.pop("RAY_ADDRESS")  # the process may serve other tests

    assert ray.get(address.remote()) == ray.get_runtime_context().gcs_address
    assert "Found multiple active Ray instances" in inspect.getsource(ray._private.services)
