"""How many suggestions are taken, where the number of trials side by side follows the cluster."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.tune.search import Searcher

from fer_tune.kinds import Sampler
from fer_tune.run_folder import Candidate, RunFolder
from fer_tune.search.cluster.room import MOST_WAITING, Room
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import from_resolved


class Cluster:
    """Nodes of one CPU; a clock; and what Tune does: count, ask, and start what there is room for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, nodes: int) -> None:
        self.nodes, self.others, self.now = nodes, 0, 100.0
        self.waiting, self.running = 0, 0
        self.room = Room(cpus=1, gpus=0)
        monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 1.0}}] * self.nodes)
        monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": float(self.unused)})
        monkeypatch.setattr("fer_tune.search.cluster.room.time.monotonic", lambda: self.now)

    @property
    def unused(self) -> int:
        return self.nodes - self.others - self.running

    def step(self, blind: int = 0, seconds: float = 2.0) -> int:
        """Ask as Tune does, then start what fits; return how many still wait."""
        self.now += seconds
        statuses = ["PENDING"] * self.waiting + ["RUNNING"] * self.running + ["TERMINATED"] * 7
        trials: Any = [SimpleNamespace(status=status) for status in statuses]
        self.room.on_step_begin(0, trials)
        while self.room.take(blind=blind > 0):
            self.waiting, blind = self.waiting + 1, blind - 1
        started = min(self.waiting, max(0, self.unused))
        self.waiting, self.running = self.waiting - started, self.running + started
        return self.waiting


def test_all_places_are_taken_at_once_and_one_trial_waits(monkeypatch):
    cluster = Cluster(monkeypatch, nodes=6)
    assert cluster.step() == 1
    assert cluster.running == 6
    assert cluster.step() == 1
    cluster.running -= 1  # one ends: the one that waits starts, another waits
    assert cluster.step() == 1
    assert cluster.running == 6


def test_trials_follow_nodes_that_join_and_leave(monkeypatch):
    cluster = Cluster(monkeypatch, nodes=0)
    assert cluster.step() == 1  # an autoscaler sees that one would be used
    cluster.nodes = 4
    cluster.step()
    assert cluster.step() == 1
    assert cluster.running == 4
    cluster.nodes, cluster.running, cluster.waiting = 2, 2, 3  # two trials were lost, and wait to be tried again
    assert cluster.step() == 3
    assert cluster.step() == 3  # no suggestion before they have started
    cluster.running = 0
    assert cluster.step() == 1
    assert cluster.step() == 1


def test_a_large_cluster_has_more_waiting(monkeypatch):
    cluster = Cluster(monkeypatch, nodes=64)
    cluster.step()
    assert cluster.step() == 8
    assert cluster.running == 64


def test_places_that_others_use_are_not_counted_on(monkeypatch):
    cluster = Cluster(monkeypatch, nodes=8)
    cluster.others = 5
    assert cluster.step() == 1
    assert (cluster.running, cluster.step()) == (3, 1)


def test_ray_is_asked_once_a_second(monkeypatch):
    cluster = Cluster(monkeypatch, nodes=2)
    asked = []
    monkeypatch.setattr(ray, "available_resources", lambda: asked.append(1) or {"CPU": float(cluster.unused)})
    for _ in range(20):
        cluster.step(seconds=0.1)
    assert 2 <= len(asked) <= 3


def test_trials_that_learn_nothing_may_all_wait(monkeypatch):
    cluster = Cluster(monkeypatch, nodes=2)
    assert cluster.step(blind=5) == 3
    cluster.running -= 1
    assert cluster.step() == 2  # but none that learns joins them
    cluster = Cluster(monkeypatch, nodes=0)
    assert cluster.step(blind=10_000) == MOST_WAITING


SPACE = {"backbone": "cnn_simpler", "search": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}}}
PAPER = Candidate(name="paper/net", config={"learning_rate": 1e-3})


class Asked:
    """A room that is full after some suggestions, and notes what it is told."""

    def __init__(self, allows: int) -> None:
        self.allows = allows
        self.blind: list[bool] = []

    def take(self, *, blind: bool) -> bool:
        self.blind.append(blind)
        self.allows -= 1
        return self.allows >= 0


@pytest.mark.parametrize(
    ("sampler", "published", "blind"),
    [("tpe", 1, 8), ("gp", 0, 8), ("tpe", 9, 9), ("random", 0, 12)],
)
def test_the_searcher_waits_for_room(tmp_path, sampler: Sampler, published: int, blind: int):
    spaces = {"cnn_simpler": from_resolved(SPACE)}
    first = {"cnn_simpler": [PAPER.model_copy(update={"name": f"paper/{i}"}) for i in range(published)]}
    room: Any = Asked(11)
    search = StudySearcher(spaces, first, 12, 5, 0, RunFolder(tmp_path), sampler, room=room)
    for index in range(11):
        assert isinstance(search.suggest(f"t{index}"), dict)
    assert search.suggest("late") is None
    assert room.blind == [index < blind for index in range(12)]


def test_a_full_room_does_not_hide_that_all_are_suggested(tmp_path):
    spaces = {"cnn_simpler": from_resolved(SPACE)}
    room: Any = Asked(1)
    search = StudySearcher(spaces, {}, 1, 5, 0, RunFolder(tmp_path), room=room)
    assert isinstance(search.suggest("a"), dict)
    assert search.suggest("b") == Searcher.FINISHED


def test_the_searcher_and_tune_s_callback_are_one_room_after_a_resume(tmp_path):
    spaces = {"cnn_simpler": from_resolved(SPACE)}
    room = Room(1, 0)
    search = StudySearcher(spaces, {}, 1, 5, 0, RunFolder(tmp_path), room=room)
    again, callback = pickle.loads(pickle.dumps((search, room)))
    assert again._room is callback
