"""The W&B runs of what a test adds: groups, combinations, corruptions, another dataset; offline, live and synced."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import EMOTIONS, patterned
from typer.testing import CliRunner
from wandb_reader import RecordedRun, read_runs
from wandb_server import Server, serving
from whole_run import load, predict

import analysis.heldout.corruptions
import analysis.heldout.transfer
from analysis import Run, load_run
from analysis.recording import beyond
from analysis.recording.record import record_test
from analysis.results import GroupGap, GroupScore
from analysis.run.combinations import latest_choice
from fer_tune.cli.main import app
from fer_tune.data.prepared.writer import Record, write_dataset

KEY = "0011223344556677" * 3
_SEEDS = itertools.count(1)  # the ledger of a split outlives a test: each reads another one


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have readings go through models that guess."""
    stand_ins: dict[str, Any] = {"load": load, "predict": predict, "device": "cpu", "resamples": 50}
    for module, name in (
        (analysis.heldout.corruptions, "run_corruptions"),
        (analysis.heldout.transfer, "run_transfer"),
    ):
        monkeypatch.setattr(module, name, functools.partial(getattr(module, name), **stand_ins))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    rng = np.random.default_rng(next(_SEEDS))

    def split(name: str, count: int) -> Iterator[Record]:
        for place in range(count):
            yield Record(patterned(place % 3, rng), place % 3, f"{name}/{place}")

    splits = {"train": split("train", 6), "val": split("val", 6), "test": split("test", 60)}
    path = tmp_path / "other"
    write_dataset(path, splits, name="Other set", source="drawn by a test", classes=EMOTIONS[:3])
    return path


def only(run: Run, kind: str) -> RecordedRun:
    (found,) = (one for one in read_runs(run.folder.path).values() if one.run.job_type == kind)
    return found


def report_in(one: RecordedRun) -> str:
    (name,) = (name for name in one.logged if name.endswith("-report"))
    return one.content(name)["report.md"].read_text()


def test_a_reading_under_corruptions_is_a_run_beside_the_test(run: Run, models: None) -> None:
    run.test(corruptions=True)
    one, found = only(run, "corruptions"), run.corruptions
    assert found is not None
    assert (one.run.run_group, one.run.display_name) == ("whole", f"{found.config_id} under corruptions")
    assert one.run.run_id.startswith(f"whole-corruptions-{found.config_id}-")
    assert one.exit_code == 0
    assert one.config["learning_rate"] == run.tests[0].config["learning_rate"]
    told = [one.summary[f"corrupted_{name}"] for name in ("accuracy", "accuracy_low", "loss", "loss_high")]
    assert told == [found.mean.value, found.mean.low, found.loss.value, found.loss.high]
    for each in found.each:
        assert one.summary[f"corrupted_accuracy/{each.name}"] == each.mean.value
        assert one.summary[f"corrupted_loss/{each.name}_low"] == each.loss.low
    rows = one.table("corruptions")
    assert [(row["corruption"], row["strength"], row["accuracy"], row["accuracy_high"]) for row in rows] == [
        (each.name, at.strength, at.accuracy.value, at.accuracy.high) for each in found.each for at in each.at
    ]
    lost = [(row["label"], row["value"]) for row in one.table("corruption_loss_table")]
    assert lost == [(each.name, each.loss.value) for each in found.each]
    assert "Under common corruptions" in report_in(one)


def test_a_reading_of_another_dataset_uses_its_card(run: Run, models: None, other: Path) -> None:
    run.test(on=other)
    (found,) = run.transfers
    one = only(run, "transfer")
    assert one.run.display_name == f"{found.config_id} on Other set"
    assert one.summary["transfer_accuracy"] == found.scores.accuracy.value
    assert one.summary["transfer_accuracy_all_images_low"] == found.every.low
    assert found.home is not None
    assert one.summary["home_balanced_accuracy_high"] == found.home.balanced_accuracy.high
    assert [(row["class"], row["recall"]) for row in one.table("transfer_per_class")] == [
        (row.name, row.recall.value) for row in found.scores.per_class
    ]
    counted = sum(row["nPredictions"] for row in one.table("transfer_confusion_table"))
    assert counted == found.scores.images * len(found.scores.seeds)
    (used,) = (artifact for artifact in one.logged.values() if artifact.use_after_commit)
    assert (used.name, found.content_hash in used.metadata) == ("Other_set-card-" + used.name[-8:], True)
    assert "On other datasets" in report_in(one)


def test_the_test_tells_which_combination_validation_chose(run: Run) -> None:
    record_test(run, run.tests[0])
    one, tested = only(run, "test"), latest_choice(run)
    assert tested is not None
    assert one.summary["combination"] == tested.choice.combination.name
    rows = one.table("combinations")
    assert [(row["models"], row["passes"]) for row in rows] == [
        (way.name, way.passes) for way in tested.choice.combinations
    ]
    assert [row["chosen"] for row in rows].index(True) == tested.choice.chosen
    assert sum(row["chosen"] for row in rows) == 1
    if tested.gain is not None:
        assert one.summary["test_combination_gain_low"] == tested.gain.low


def test_what_nothing_is_known_of_is_left_empty(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tested = latest_choice(run)
    assert tested is not None
    lone = tested.choice.combinations[-1].model_copy(update={"margin": math.inf})
    choice = tested.choice.model_copy(update={"combinations": [*tested.choice.combinations[:-1], lone]})
    monkeypatch.setattr(beyond, "latest_choice", lambda _: tested.model_copy(update={"choice": choice}))
    _, attached = beyond.of_test(run, run.tests[0])
    assert attached.tables["combinations"][-1]["standard_error"] is None


def test_groups_and_their_gap_are_told_with_their_bounds(run: Run) -> None:
    groups = [
        GroupScore(group=name, images=70, accuracy=value, low=value - 0.1, high=value + 0.1)
        for name, value in (("ada", 0.5), ("bo", 0.7))
    ]
    gap = GroupGap(
        groups=2,
        left_out=0,
        worst="ada",
        best="bo",
        accuracy=0.5,
        low=0.4,
        high=0.6,
        gap=0.2,
        gap_low=0.05,
        gap_high=0.3,
        by_chance=0.04,
    )
    result = run.tests[0].model_copy(update={"groups": groups, "group_gap": gap})
    record_test(run, result)
    one = only(run, "test")
    assert [(row["group"], row["accuracy"], row["high"]) for row in one.table("groups")] == [
        (group.group, group.accuracy, group.high) for group in groups
    ]
    told = [one.summary[f"test_{name}"] for name in ("worst_group", "worst_group_accuracy_high", "group_gap_low")]
    assert told == ["ada", 0.6, 0.05]
    assert one.summary["test_group_gap_by_chance"] == 0.04


def test_what_cannot_be_gathered_costs_neither_the_figures_nor_the_reading(
    run: Run, models: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("no report today")

    monkeypatch.setattr(beyond, "report_artifact", broken)
    run.test(corruptions=True)
    assert "artifacts of the corruptions are not recorded: no report today" in caplog.text
    assert run.corruptions is not None
    assert only(run, "corruptions").summary["corrupted_accuracy"] == run.corruptions.mean.value


def test_nothing_is_recorded_of_a_run_that_asked_for_none(run: Run, models: None, other: Path) -> None:
    run.folder.write_settings(run.settings.model_copy(update={"wandb": "disabled"}))
    run = load_run(run.folder.path)
    run.test(corruptions=True)
    run.test(on=other)
    assert not run.folder.wandb.exists()


def assert_heard(server: Server) -> None:
    """Check that the server knows both readings whole: their end, the lineage, the tables, the report."""
    ended = {name.split("-")[1]: code for name, code in server.exit_codes.items()}
    assert ended == {"corruptions": 0, "transfer": 0}
    assert server.artifacts["whole-report"] == "report"
    assert [name.split("-card")[0] for name in server.used] == ["Other_set"]
    for column in (b'"strength"', b'"recall_low"'):
        assert any(column in content for content in server.uploads)


def test_online_the_server_hears_of_them(run: Run, models: None, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.folder.write_settings(run.settings.model_copy(update={"wandb": "online"}))
    run = load_run(run.folder.path)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        run.test(corruptions=True)
        run.test(on=other)
    assert_heard(server)


def test_what_was_recorded_offline_is_uploaded_by_sync(
    run: Run, models: None, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.test(corruptions=True)
    run.test(on=other)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        called = CliRunner().invoke(app, ["sync", str(run.folder.path)])
        assert called.exit_code == 0, called.output
    assert_heard(server)
