"""The states of a trial go when it has ended, and not before Tune's snapshot knows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pyarrow import fs

from fer_tune.search.running.remains import Remains


def trial(tmp_path: Path, name: str, finished: bool = True) -> Any:
    folder = tmp_path / name
    (folder / "state" / "epoch_0003").mkdir(parents=True)
    (folder / "best.safetensors").touch()
    storage = SimpleNamespace(trial_fs_path=str(folder), storage_filesystem=fs.LocalFileSystem())
    return SimpleNamespace(trial_id=name, storage=storage, is_finished=lambda: finished)


def left(tmp_path: Path) -> list[str]:
    assert all((each / "best.safetensors").is_file() for each in tmp_path.iterdir())
    return sorted(each.name for each in tmp_path.iterdir() if (each / "state").exists())


def test_they_stay_until_a_snapshot_that_knows_is_over(tmp_path: Path) -> None:
    done, failed, runs = (trial(tmp_path, name) for name in ("done", "failed", "runs"))
    remains = Remains()
    remains.get_state()
    remains.on_trial_complete(1, [done, failed, runs], done)
    assert left(tmp_path) == ["done", "failed", "runs"]
    assert remains.get_state() == {"left": ["done"]}  # the snapshot is being written
    remains.on_trial_error(1, [done, failed, runs], failed)
    assert left(tmp_path) == ["done", "failed", "runs"]
    remains.get_state()
    assert left(tmp_path) == ["failed", "runs"]
    remains.on_experiment_end([done, failed, runs])
    assert left(tmp_path) == ["runs"]  # an interrupted trial goes on from it


def test_what_a_driver_that_died_has_left_goes_at_the_resume(tmp_path: Path) -> None:
    done, runs = trial(tmp_path, "done"), trial(tmp_path, "runs", finished=False)
    first = Remains()
    first.on_trial_complete(1, [done, runs], done)
    state = first.get_state()
    resumed = Remains()
    resumed.set_state(state)
    assert resumed.get_state() == state  # a snapshot before its first step
    resumed.on_step_begin(1, [done, runs])
    assert left(tmp_path) == ["runs"]
    assert resumed.get_state() == {"left": []}


def test_a_store_that_refuses_costs_room_alone(tmp_path: Path) -> None:
    class Refuses(fs.LocalFileSystem):
        def delete_dir(self, path: str) -> None:
            raise OSError("no right to delete")

    done = trial(tmp_path, "done")
    done.storage.storage_filesystem = Refuses()
    remains = Remains()
    remains.on_trial_complete(1, [done], done)
    remains.on_experiment_end([done])
    assert left(tmp_path) == ["done"]
