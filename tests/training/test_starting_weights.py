"""Starting weights behind a URI: found as in a folder, fetched once, and pinned to what they were."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import EMOTIONS
from pyarrow import fs
from safetensors.torch import load_file, save_file

from fer_tune.config import TrialConfig
from fer_tune.data.prepared import remote
from fer_tune.errors import UserError
from fer_tune.filing.tables import write_table
from fer_tune.models import create_model
from fer_tune.run_folder import TRIAL_COLUMNS
from fer_tune.training.evaluation import build_model
from fer_tune.training.loop import train
from fer_tune.training.starting_weights import lasting, on_this_machine

BUCKET = "s3://bucket"


class Store:
    """A bucket that is a folder; counts what is read of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.away = folder, False
        self.read: list[str] = []
        self._plain = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())

    def open_input_stream(self, path: str) -> Any:
        self._there()
        self.read.append(path)
        return self._plain.open_input_stream(path)

    def get_file_info(self, what: Any) -> Any:
        self._there()
        return self._plain.get_file_info(what)

    def _there(self) -> None:
        if self.away:
            raise OSError("no route to the store")


@pytest.fixture
def store(tmp_path, monkeypatch):
    made = Store(tmp_path / "bucket")
    made.folder.mkdir()
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "filesystem_of", lambda uri: (made, uri.partition("?")[0].removeprefix(f"{BUCKET}/")))
    return made


def saved(file: Path, fill: float) -> Path:
    """A network of which every weight is ``fill``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    state = create_model("cnn_simpler", num_classes=7, in_chans=1).state_dict()
    weights = {name: value for name, value in state.items() if value.is_floating_point()}
    about = {"classes": json.dumps(EMOTIONS)}  # as a run's have it, so that the classifier is taken over too
    save_file({name: torch.full_like(value, fill).contiguous() for name, value in weights.items()}, file, about)
    return file


def holds(file: Path) -> float:
    return float(load_file(file)["head.bias"][0])


def a_run(folder: Path, trials: dict[str, tuple[str, float]]) -> None:
    """A run folder whose trials hold their own accuracy as weights."""
    folder.mkdir()
    (folder / "search.yaml").write_text("name: tiny\nobjectives: [val_accuracy]\n")
    for name, (_, accuracy) in trials.items():
        for file, fill in (("state/epoch_0002/best.safetensors", 0.0), ("best.safetensors", accuracy)):
            saved(folder / "tune" / name / file, fill)
    rows = [{"trial_id": name, "backbone": b, "val_accuracy": a} for name, (b, a) in trials.items()]
    write_table(rows, TRIAL_COLUMNS, folder / "trials.parquet")


def test_a_file_is_fetched_once_and_anew_when_it_changes(store, tmp_path):
    uri = f"{BUCKET}/faces/start.safetensors"
    file = saved(store.folder / "faces/start.safetensors", 0.25)
    first = on_this_machine(uri, "cnn_simpler")
    assert (holds(first), first.parent) == (0.25, tmp_path / "cache/files")
    assert on_this_machine(uri, "cnn_simpler") == first
    assert store.read == ["faces/start.safetensors"]
    saved(file, 0.5)
    assert holds(on_this_machine(uri, "cnn_simpler")) == 0.5
    assert not [entry for entry in first.parent.iterdir() if entry.name.startswith(".tmp")]  # nothing half-fetched


def test_a_run_at_a_uri_stands_for_its_best_trial_and_then_for_its_best_refit(store):
    run = store.folder / "runs/first"
    run.parent.mkdir()
    a_run(run, {"a": ("cnn_simpler", 0.5), "b": ("cnn_simpler", 0.625), "c": ("resnet18", 0.75), "d": ("x", math.nan)})
    uri = f"{BUCKET}/runs/first"
    assert holds(on_this_machine(uri, "cnn_simpler")) == 0.625
    assert holds(on_this_machine(uri, "vgg16_gap")) == 0.75
    assert [name for name in store.read if name.endswith(".safetensors")] == [
        f"runs/first/tune/{trial}/best.safetensors" for trial in "bc"
    ]  # no other weights were brought
    for seed, accuracy in enumerate((0.6875, 0.875, math.nan)):
        folder = saved(run / f"refit/cnn_simpler-0a1b/seed_{seed}/best.safetensors", accuracy).parent
        told = {"config_id": "cnn_simpler-0a1b", "val_accuracy": accuracy}
        (folder / "result.json").write_text(json.dumps(told))
    saved(run / "refit/cnn_simpler-0a1b/train_val/seed_0/best.safetensors", 1.0)
    (run / "refit/cnn_simpler-0a1b/train_val/seed_0/result.json").write_text('{"val_accuracy": 0.99}')
    assert holds(on_this_machine(f"{uri}/", "cnn_simpler")) == 0.875
    assert holds(on_this_machine(f"{uri}/refit/cnn_simpler-0a1b/seed_0", "cnn_simpler")) == 0.6875


def test_what_is_pinned_stays_what_it_was_and_needs_no_network_again(store):
    run = store.folder / "first"
    a_run(run, {"a": ("cnn_simpler", 0.5)})
    kept = lasting(f"{BUCKET}/first?region=here", "cnn_simpler")
    assert kept.startswith(f"{BUCKET}/first/tune/a/best.safetensors?region=here#")
    assert lasting(kept, "cnn_simpler") == kept
    shutil.rmtree(run)
    a_run(run, {"a": ("cnn_simpler", 0.75)})
    store.away = True
    assert holds(on_this_machine(kept, "cnn_simpler")) == 0.5
    shutil.rmtree(remote.cache_folder())
    with pytest.raises(UserError, match=r"best\.safetensors\?region=here: cannot be reached: no route to the store"):
        on_this_machine(kept, "cnn_simpler")
    store.away = False
    with pytest.raises(UserError, match="its content was replaced since this run began"):
        on_this_machine(kept, "cnn_simpler")


def test_paths_stay_paths(tmp_path):
    file = saved(tmp_path / "start.safetensors", 0.5)
    assert lasting(str(file), "cnn_simpler") == str(file)
    assert on_this_machine(f"file://{file}", "cnn_simpler") == on_this_machine(str(file), "cnn_simpler") == file


def test_a_training_starts_from_a_uri(store, tiny, tmp_path):
    saved(store.folder / "start.safetensors", 0.125)
    config = TrialConfig(backbone="cnn_simpler", epochs=1, weights=f"{BUCKET}/start.safetensors", learning_rate=1e-9)
    assert float(build_model(config, tiny.card).state_dict()["head.bias"][0]) == 0.125
    train(config, tiny, tmp_path / "run")
    assert holds(tmp_path / "run/best.safetensors") == pytest.approx(0.125, abs=1e-4)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        (f"{BUCKET}/nowhere", "nowhere: no weights here: neither best.safetensors, nor a run folder"),
        (f"{BUCKET}/empty", "empty: a run folder without weights of a trial"),
        (f"{BUCKET}/gone.safetensors#{64 * 'a'}", "gone.safetensors: no such file"),
        ("s3://me:secret@host/start.pt", r"s3://\.\.\.@host: leave user and password out"),
    ],
)
def test_what_cannot_be_had_is_told(store, uri, told):
    a_run(store.folder / "empty", {})
    with pytest.raises(UserError, match=told) as caught:
        on_this_machine(uri, "cnn_simpler")
    assert "secret" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_told(store, tmp_path, monkeypatch):
    saved(store.folder / "start.safetensors", 0.5)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be kept there: .*FER_TUNE_CACHE"):
        on_this_machine(f"{BUCKET}/start.safetensors", "cnn_simpler")
