"""A search whose number of trials side by side follows the cluster, with Ray Tune, on tiny drawn data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from drawing import tiny_dataset
from fake_run import FakeRun

import fer_tune.search.running.engine as engine
from fer_tune.errors import UserError
from fer_tune.search.cluster.room import Room
from fer_tune.search.options import SearchOptions


def test_a_search_on_a_cluster_takes_what_room_there_is(ray_local, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("RAY_ADDRESS", "joined before")  # as in a job; the Ray is the tests' own, of two CPUs
    waiting: list[int] = []
    own = Room.on_step_begin

    def count(room: Room, iteration: int, trials: list[Any], **info: Any) -> None:
        own(room, iteration, trials, **info)
        waiting.append(room._waiting)

    monkeypatch.setattr(Room, "on_step_begin", count)
    tiny_dataset(tmp_path / "data", n_train=140, n_val=70, n_test=14)
    ended = engine.search(
        SearchOptions(
            data=tmp_path / "data",
            backbones=["cnn_simpler"],
            trials=12,
            epochs=1,
            name="joined",
            storage=tmp_path,
            target=0.001,
            published=False,
            wandb="disabled",
        )
    )
    assert not ended.finished
    assert ended.run.settings().concurrent is None
    assert max(waiting) == 8  # so many are drawn before the sampler learns; two of them have a place
    del waiting[:]
    monkeypatch.delenv("RAY_ADDRESS")
    ended = engine.resume(ended.run.path)
    assert ended.finished
    assert pq.read_table(ended.run.trials_file).num_rows == 12
    assert 1 in waiting  # when those are done
    assert waiting[-1] == 0
    state = max(ended.run.tune.glob("experiment_state-*.json"))  # a resume begins a new one
    assert len(set(re.findall(r'\\?"pid\\?": (\d+)', state.read_text()))) <= 4  # two at a time, before and after
    assert "waiting for nodes" not in capsys.readouterr().err


def test_what_is_waited_for_on_a_cluster_is_told_and_elsewhere_refused(ray_local, tmp_path: Path, capsys):
    run = FakeRun(tmp_path / "fake").write()
    settings = run.settings().model_copy(update={"gpus_per_trial": 1.0})
    engine._look_for_room(run, settings, joined=True)
    told = capsys.readouterr().err
    needed = "a trial needs 1 CPU and 1 GPU on one node, and Ray has 2 CPUs and 0 GPUs on 1 node now"
    assert told == f"waiting for nodes: {needed}. `ray status` shows what the autoscaler does\n"
    with pytest.raises(UserError, match=re.escape(f"fake: {needed}; go on with it on a larger machine or a cluster")):
        engine._look_for_room(run, settings, joined=False)
    engine._look_for_room(run, run.settings(), joined=False)
    assert capsys.readouterr().err == ""
