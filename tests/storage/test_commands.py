"""Commands and notebooks on a run that is in a store: they name it by its URI and bring back only what they need."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fake_run import FakeRun
from torch import nn
from typer.testing import CliRunner

from analysis import compare, load_run
from analysis.refits.training import RefitTask, train_one_away
from fer_tune.cli.main import app
from fer_tune.errors import UserError
from fer_tune.filing.tables import write_table
from fer_tune.objectives import JUDGED
from fer_tune.run_folder import EPOCH_COLUMNS, RunFolder
from fer_tune.search.proposing.warm_start import best_of
from fer_tune.search.watching.watched import read_snapshot
from fer_tune.storage.mirror import Mirror
from fer_tune.storage.runs import open_run
from fer_tune.training.keeping import checkpoint


@pytest.fixture
def uri(bucket, monkeypatch, tmp_path):
    """A run in the store that another machine made; this one has nothing of it yet."""
    uri = f"{bucket}/runs/r"
    there = Mirror(uri)
    run = FakeRun(there.folder).write()
    (run.wandb / "offline-run-1").mkdir(parents=True)
    (run.wandb / "offline-run-1" / "run.wandb").write_bytes(b"record")
    there.push()
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "another"))
    return uri


def cli(*words: object) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_a_notebook_reads_a_run_by_its_uri(uri, tmp_path):
    run = load_run(uri)
    own = load_run(FakeRun(tmp_path / "r").write().path)
    assert run.trials.equals(own.trials)
    assert run.epochs.equals(own.epochs)
    assert run.best_config == own.best_config
    assert load_run(run.folder.path).trials.equals(own.trials)  # the local copy stands for the run
    assert list(compare([uri, own]).table["dataset"]) == ["fer2013"] * 4
    assert best_of(uri, ["cnn_residual"], 1)["cnn_residual"][0].config["learning_rate"] > 0
    with pytest.raises(UserError, match=r"no run there: no search\.yaml"):
        load_run(f"{uri}-of-nobody")


def test_watch_follows_a_run_in_a_store(uri):
    before = cli("watch", uri, "--once")
    assert f"the search has ended; next: fer-tune refit {uri}" in before
    assert read_snapshot(open_run(uri)).total == 16
    there = Mirror(uri)
    FakeRun(there.folder, trials=9).write()  # another one, elsewhere
    there.push()
    assert cli("watch", uri, "--once") != before
    assert read_snapshot(open_run(uri)).total == 18


def test_sync_brings_the_offline_runs_and_sends_their_marks(uri, monkeypatch):
    def uploads(folder):
        record = folder / "wandb" / "offline-run-1" / "run.wandb"
        assert record.read_bytes() == b"record"
        record.with_name("run.wandb.synced").touch()
        return 1, []

    monkeypatch.setattr("fer_tune.tracking.sync.upload", uploads)
    assert "1 run uploaded" in cli("sync", uri)
    assert "wandb/offline-run-1/run.wandb.synced" in Mirror(uri).place.listing()


def test_what_a_command_writes_is_in_the_store_when_it_ends(uri, monkeypatch):
    written = []

    def write_report(run):
        written.append(run.folder)
        run.folder.report.mkdir(parents=True, exist_ok=True)
        (run.folder.report / "report.html").write_text("<p>")
        raise UserError("it ends badly")

    monkeypatch.setattr("analysis.report.writing.write_report", write_report)
    with pytest.raises(UserError, match="badly"):
        cli("report", uri)
    assert written[0].uri_of(written[0].report) == f"{uri}/report"
    assert "report/report.html" in Mirror(uri).place.listing()
    Mirror(uri).place.delete("report/report.html")
    with pytest.raises(UserError, match="badly"):
        cli("report", written[0].path)  # by the path of its local copy
    assert "report/report.html" in Mirror(uri).place.listing()


def test_a_refit_on_a_node_without_the_folder_leaves_its_result_in_the_store(uri, tmp_path):
    """The node has neither the driver's folder nor its cache, and is lost after its first epoch."""
    from drawing import tiny_dataset

    from fer_tune.config import trial_config

    tiny_dataset(tmp_path / "data", n_train=7, n_val=7, n_test=7)
    config = trial_config({"backbone": "cnn_simpler", "epochs": 2, "seed": 0}, "test")
    run = RunFolder(tmp_path / "not on this node", uri)
    task = RefitTask("cnn_simpler-0", 0, run.refit_seed("cnn_simpler-0", 0), config, run=run)
    place = f"{uri}/refit/cnn_simpler-0/seed_0"
    assert task.store == place
    started = []

    def train(config, dataset, folder, *, objective, device, on_epoch, keeper):
        model = nn.Linear(1, 1)
        done = (checkpoint.load(folder, model) or {"epoch": 0})["epoch"]
        started.append(done)
        for epoch in range(done + 1, 3):
            keeper.keep(folder, epoch, model, dict, model, ("a", "b"), epoch == 2)
            keeper._thread.submit(int).result()  # until it is written
            on_epoch({"epoch": epoch, "val_accuracy": 0.5}, folder)
            if len(started) == 1:
                raise RuntimeError("the node is lost")
        history = [{"epoch": epoch, **dict.fromkeys(JUDGED, 0.5)} for epoch in (1, 2)]
        return SimpleNamespace(history=history, epochs=2, best_epoch=2, best=history[1], seconds=1.0, reason="finished")

    with pytest.raises(RuntimeError, match="lost"):
        train_one_away(task, tmp_path / "data", train=train, device="cpu", threads=0)
    state = {f"state/epoch_0001/{name}" for name in ("state.pt", "epoch_0001.safetensors", "best.safetensors")}
    assert set(Mirror(place).place.listing()) == {"epochs.parquet", "best.safetensors"} | state
    Mirror(place).drop()  # the second try is on another node
    result = train_one_away(task, tmp_path / "data", train=train, device="cpu", threads=0)
    assert started == [0, 1]
    assert result.status == "completed"
    assert set(Mirror(place).place.listing()) == {"epochs.parquet", "result.json", "best.safetensors"}
    assert not Mirror(place).home.exists()
    assert load_run(uri).refit_result("cnn_simpler-0", 0) == result


def test_the_tables_of_a_refit_are_readable_half_way(uri):
    there = Mirror(f"{uri}/refit/c/seed_0")
    write_table([], EPOCH_COLUMNS, there.folder / "epochs.parquet")
    there.push()
    assert load_run(uri).refit_epochs("c", 0).empty
