"""Refit, test, report, export and predict on a run in a store, each on another machine, with real training."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from drawing import tiny_dataset
from fake_run import FakeRun
from typer.testing import CliRunner

import analysis.heldout.opening
import analysis.refits.training
import fer_tune.search.cluster.ray_session
from analysis import load_run
from analysis.refits.training import Ending, RefitTask, train_one_away
from fer_tune.cli.main import app
from fer_tune.errors import UserError
from fer_tune.storage.mirror import Mirror
from fer_tune.storage.runs import refreshed


class Pool:
    """Trains as `RayPool` has it done on another node, but in this process."""

    def __init__(self, data: Path, cpus: float, gpus: float, labels: dict[str, str]) -> None:
        self._data, self._tasks = data, list[RefitTask]()

    def submit(self, task: RefitTask) -> None:
        self._tasks.append(task)

    def wait(self, seconds: float) -> list[Ending]:
        task = self._tasks.pop(0)
        result = train_one_away(task, self._data, device="cpu", threads=0)
        refreshed(task.run, task.folder)
        return [Ending(task, result)]

    def cancel(self) -> None:
        pass


def cli(*words: Any) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_refit_test_report_export_and_predict(bucket, tmp_path, monkeypatch):
    card = tiny_dataset(tmp_path / "data", n_train=140, n_val=28, n_test=28)
    uri = f"{bucket}/runs/r"
    monkeypatch.setattr(fer_tune.search.cluster.ray_session, "ray_session", lambda **_: nullcontext())
    monkeypatch.setattr(analysis.refits.training, "RayPool", Pool)
    monkeypatch.setattr(analysis.heldout.opening, "run_test", partial(analysis.heldout.opening.run_test, resamples=50))
    begun = Mirror(uri)
    folder = FakeRun(
        begun.folder,
        dataset=tmp_path / "data",
        content_hash=card.content_hash,
        dataset_name=card.name,
        backbones=("cnn_simpler",),
    ).write()
    folder.write_settings(folder.settings().model_copy(update={"wandb": "disabled"}))
    begun.push()

    machines = (str(tmp_path / f"machine{number}") for number in range(9))

    def on_another_machine(*words: Any) -> str:
        monkeypatch.setenv("FER_TUNE_CACHE", next(machines))
        return cli(*words)

    told = on_another_machine("refit", uri, "--top", 1, "--seeds", 2, "--epochs", 1, "--no-published")
    assert f"next: fer-tune test {uri}" in told
    there = begun.place.listing()
    assert sum(name.endswith("best.safetensors") for name in there) == 2
    assert not [name for name in there if "epoch_" in name or name.endswith("state.pt")]
    assert "2 of 2 done" in on_another_machine("refit", uri)

    assert f"next: fer-tune report {uri}" in on_another_machine("test", uri, "--no-tta")
    assert "test/ledger.jsonl" in begun.place.listing()
    with pytest.raises(UserError, match=f"fer-tune test {uri} --again"):
        on_another_machine("test", uri, "--no-tta")

    on_another_machine("report", uri)
    on_another_machine("export", uri)
    assert {"report/report.html", "export/model.safetensors"} <= set(begun.place.listing())
    assert "right: " in on_another_machine("predict", uri, tmp_path / "data", "--device", "cpu")

    monkeypatch.setenv("FER_TUNE_CACHE", next(machines))
    run = load_run(uri)
    assert len(run.openings) == 1
    assert run.tests[0].images == 28
    assert f"fer-tune test {uri}" not in (run.folder.report / "report.md").read_text()
    assert not list(run.folder.path.rglob("*.safetensors"))  # nothing large was brought for this
