"""`fer-tune search`: each option reaches the engine, and the end tells what to do next."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fake_run import FakeRun

import fer_tune.search.running.engine as engine
from fer_tune.cli.main import main
from fer_tune.filing.tables import write_table
from fer_tune.run_folder import EPOCH_COLUMNS, METRICS, TRIAL_COLUMNS, DatasetRef, RunFolder, SearchSettings
from fer_tune.search.options import Change, ResumeOptions
from fer_tune.search.watching.output import output


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "runs" / "r")
    base: dict[str, Any] = dict.fromkeys(METRICS, 0.5) | {"backbone": "cnn_simpler", "origin": "searched", "epochs": 3}
    rows = [
        {**base, "trial_id": f"t{i}", "status": "completed", "val_accuracy": 0.5 + i / 100, "best_epoch": 3}
        | {"config.learning_rate": 0.001 * (i + 1), "config.batch_size": 32, "config.augmentation": 0.25}
        for i in range(12)
    ]
    write_table(rows, TRIAL_COLUMNS, run.trials_file)
    write_table([], EPOCH_COLUMNS, run.epochs_file)
    ref = DatasetRef(path="d", name="tiny", content_hash="0", classes=["a", "b"])
    run.write_settings(
        SearchSettings(
            name="r",
            created="now",
            dataset=ref,
            backbones=["cnn_simpler"],
            trials=12,
            planned={"cnn_simpler": 12},
            epochs=3,
        )
    )
    return run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, run_folder: RunFolder) -> dict[str, Any]:
    """What the engine was asked for, and how it shall end."""
    seen: dict[str, Any] = {"finished": True, "interrupted": False}

    def search(options: engine.SearchOptions) -> engine.Ended:
        seen.update(options=options, output=output())
        return engine.Ended(
            run_folder, seen["finished"], seen["interrupted"], seen.get("reason", ""), seen.get("gave_up", False)
        )

    monkeypatch.setattr(engine, "search", search)
    monkeypatch.setattr(engine, "resume", lambda path, changes: seen.update(changes=changes) or search(path))
    return seen


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["fer-tune", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


BASE = ("search", "--data", "d", "--backbone", "cnn_simpler")


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ((), "data", "d"),
        (("--backbone", "resnet18", "--backbone", "cnn_simpler"), "backbones", ["cnn_simpler", "resnet18"]),
        (("--trials", "7"), "trials", 7),
        (("--epochs", "9"), "epochs", 9),
        (("--time-budget", "90s"), "time_budget_seconds", 90.0),
        (("--time-budget", "1.5h"), "time_budget_seconds", 5400.0),
        (("--name", "mine"), "name", "mine"),
        (("--storage", "else"), "storage", Path("else")),
        (("--seed", "3"), "seed", 3),
        (("--cpus-per-trial", "2"), "cpus_per_trial", 2.0),
        (("--gpus-per-trial", "0.25"), "gpus_per_trial", 0.25),
        (("--workers-per-trial", "2"), "workers_per_trial", 2),
        (("--node-label", "kind=fast", "--node-label", "a=!b"), "node_labels", {"kind": "fast", "a": "!b"}),
        (("--concurrent", "3"), "concurrent", 3),
        (("--space", "a.yaml"), "spaces", ["a.yaml"]),
        (("--grace-period", "4"), "grace_period", 4),
        (("--reduction-factor", "2"), "reduction_factor", 2),
        (("--brackets", "2"), "brackets", 2),
        (("--random-share", "0.25"), "random_share", 0.25),
        (("--sampler", "tpe"), "sampler", "tpe"),
        (("--sampler", "random"), "sampler", "random"),
        (("--sampler", "cmaes"), "sampler", "cmaes"),
        (("--sampler", "grid"), "sampler", "grid"),
        (("--scheduler", "none"), "scheduler", "none"),
        (("--scheduler", "median"), "scheduler", "median"),
        (("--objective", "val_accuracy", "--objective", "latency"), "objectives", ("val_accuracy", "latency")),
        (("--target", "0.6"), "target", 0.6),
        (("--weights", "a.pt", "--weights", "resnet18=runs/b"), "weights", ["a.pt", "resnet18=runs/b"]),
        (("--fix", "optimizer=adamw"), "changes", (Change("fix", "optimizer", "adamw", "--fix optimizer=adamw"),)),
        (
            ("--range", "mixup=0:0.4", "--range", "learning_rate=1e-4:1e-2:linear"),
            "changes",
            (
                Change("range", "mixup", (0, 0.4, ""), "--range mixup=0:0.4"),
                Change("range", "learning_rate", (1e-4, 1e-2, "linear"), "--range learning_rate=1e-4:1e-2:linear"),
            ),
        ),
        (
            ("--choice", "batch_size=128,256"),
            "changes",
            (Change("choice", "batch_size", [128, 256], "--choice batch_size=128,256"),),
        ),
        (("--warm-start", "old", "--warm-start", "runs"), "warm_start", ["old", "runs"]),
        (("--warm-start-top", "5"), "warm_start_top", 5),
        (("--no-published",), "published", False),
        (("--no-known-good",), "known_good", False),
        (("--wandb", "disabled"), "wandb", "disabled"),
    ],
)
def test_an_option_reaches_the_engine(monkeypatch, asked, arguments, field, value):
    assert call(monkeypatch, *BASE, *arguments) == 0
    assert getattr(asked["options"], field) == value
    default = engine.SearchOptions(data=Path("x"), backbones=[])
    assert getattr(default, field) != value


@pytest.mark.parametrize(
    ("arguments", "sampler"),
    [((), "gp"), (("--objective", "latency"), "tpe"), (("--objective", "latency", "--sampler", "gp"), "gp")],
)
def test_with_a_second_objective_another_sampler_draws_unless_one_is_named(monkeypatch, asked, arguments, sampler):
    call(monkeypatch, *BASE, "--objective", "val_accuracy", *arguments)
    assert asked["options"].sampler == sampler


def test_the_defaults_of_the_command_are_those_of_the_engine(monkeypatch, asked):
    call(monkeypatch, *BASE)
    assert asked["options"] == engine.SearchOptions(data="d", backbones=["cnn_simpler"])


def test_the_end_shows_the_best_trials_and_the_next_command(monkeypatch, asked, run_folder, capsys):
    assert call(monkeypatch, *BASE) == 0
    shown = capsys.readouterr().out
    assert "12 completed" in shown
    assert shown.index("61.00 %") < shown.index("60.00 %")
    assert "50.00 %" not in shown  # the ten best
    assert f"next: fer-tune refit {run_folder.path}" in shown


def test_an_interrupt_says_how_to_go_on(monkeypatch, asked, run_folder, capsys):
    asked |= {"finished": False, "interrupted": True}
    assert call(monkeypatch, *BASE) == 130
    assert f"Go on with: fer-tune resume {run_folder.path}" in capsys.readouterr().out


def test_a_spent_budget_says_so(monkeypatch, asked, run_folder, capsys):
    asked |= {"finished": False, "reason": "the time budget is spent"}
    assert call(monkeypatch, *BASE, "--time-budget", "1m") == 0
    assert "the time budget is spent. Go on with: fer-tune resume" in capsys.readouterr().out


def test_giving_up_fails_with_the_reason(monkeypatch, asked, run_folder, capsys):
    asked |= {"finished": False, "reason": "at least 5 trials failed for one reason: no memory", "gave_up": True}
    assert call(monkeypatch, *BASE) == 1
    shown = capsys.readouterr()
    assert f"no memory. Go on with: fer-tune resume {run_folder.path}" in shown.err
    assert "next:" not in shown.out


@pytest.mark.parametrize("option", ["--sampler", "--scheduler", "--objective", "--wandb"])
def test_an_unknown_choice_is_refused_with_the_choices(monkeypatch, asked, option, capsys):
    assert call(monkeypatch, *BASE, option, "nonsense") == 2
    assert f"{option} nonsense: one of " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scheduler", "why"), [("hyperband", "--brackets 3` is its asynchronous form"), ("pbt", "could be refitted")]
)
def test_a_scheduler_that_is_left_out_is_refused_with_the_reason(monkeypatch, asked, scheduler, why, capsys):
    assert call(monkeypatch, *BASE, "--scheduler", scheduler) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert f"--scheduler {scheduler}: there is none: " in shown
    assert why in shown
    assert "options" not in asked


def test_the_end_of_a_search_for_two_objectives_shows_the_front(monkeypatch, asked, run_folder, capsys):
    call(monkeypatch, *BASE)
    assert "no trial is better" not in capsys.readouterr().out
    run_folder.write_settings(run_folder.settings().model_copy(update={"objectives": ["val_accuracy", "latency"]}))
    rows = pq.read_table(run_folder.trials_file).to_pylist()
    for index, row in enumerate(rows):
        row["latency_ms"] = 8.0 if index < 11 else 9.5
    write_table(rows, TRIAL_COLUMNS, run_folder.trials_file)
    assert call(monkeypatch, *BASE) == 0
    shown = capsys.readouterr().out.split("no trial is better in both accuracy and latency")[1]
    assert [line.split()[0] for line in shown.splitlines()[2:4]] == ["t11", "t10"]
    assert "t9" not in shown


def test_resume_goes_on_with_the_run(monkeypatch, asked, run_folder, capsys):
    assert call(monkeypatch, "resume", run_folder.path) == 0
    assert asked["options"] == str(run_folder.path)
    assert "next: fer-tune refit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ((), ResumeOptions()),
        (("--trials", "12"), ResumeOptions(trials=12)),
        (("--epochs", "40"), ResumeOptions(epochs=40)),
        (("--time-budget", "2h"), ResumeOptions(time_budget_seconds=7200.0)),
        (("--cpus-per-trial", "2"), ResumeOptions(cpus_per_trial=2.0)),
        (("--gpus-per-trial", "0.5"), ResumeOptions(gpus_per_trial=0.5)),
        (("--concurrent", "3"), ResumeOptions(concurrent=3)),
        (("--checkpoint-every", "5m"), ResumeOptions(checkpoint_every=300.0)),
        (("--data", "elsewhere"), ResumeOptions(data="elsewhere")),
        (("--retry-failed",), ResumeOptions(retry_failed=True)),
    ],
)
def test_what_a_resume_changes_reaches_the_engine(monkeypatch, asked, run_folder, arguments, changes):
    assert call(monkeypatch, "resume", run_folder.path, *arguments) == 0
    assert asked["changes"] == changes


@pytest.mark.parametrize("budget", ["soon", "10", "-5m"])
def test_a_budget_without_a_unit(monkeypatch, asked, budget, capsys):
    assert call(monkeypatch, *BASE, f"--time-budget={budget}") == 2
    assert "a number and a unit, such as 90s, 30m or 2h" in capsys.readouterr().err


def test_an_unknown_wandb_mode(monkeypatch, asked, capsys):
    assert call(monkeypatch, *BASE, "--wandb", "maybe") == 2
    assert "one of auto, online, offline, disabled" in capsys.readouterr().err


def test_quiet_prints_the_run_folder_alone(monkeypatch, asked, run_folder, capsys):
    assert call(monkeypatch, *BASE, "--quiet") == 0
    assert capsys.readouterr().out == f"{run_folder.path}\n"
    assert asked["output"] == "quiet"
    assert output() == "text"  # of what this process does next


def test_json_ends_with_how_the_search_ended(monkeypatch, asked, run_folder, capsys):
    asked |= {"finished": False, "reason": "the time budget is spent"}
    assert call(monkeypatch, "resume", str(run_folder.path), "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "event": "search",
        "run": str(run_folder.path),
        "finished": False,
        "interrupted": False,
        "reason": "the time budget is spent",
    }
    assert asked["output"] == "json"


def test_quiet_and_json_exclude_each_other(monkeypatch, asked, capsys):
    assert call(monkeypatch, *BASE, "--quiet", "--json") == 2
    assert "--quiet and --json: one of them" in capsys.readouterr().err


def test_watch_looks_once_when_piped(monkeypatch, tmp_path, capsys):
    run = FakeRun(tmp_path / "watched").write()
    assert call(monkeypatch, "watch", run.path) == 0
    assert "trials 16/16" in capsys.readouterr().out


def test_watch_looks_again_until_the_search_has_ended(monkeypatch, tmp_path, capsys):
    run = FakeRun(tmp_path / "watched").write()
    rows = pq.read_table(run.trials_file).to_pylist()
    write_table([{**rows[0], "status": "running"}, *rows[1:]], TRIAL_COLUMNS, run.trials_file)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        write_table(rows, TRIAL_COLUMNS, run.trials_file)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    assert call(monkeypatch, "watch", run.path, "--once") == 0
    assert slept == []
    assert "trials 15/16" in capsys.readouterr().out
    assert call(monkeypatch, "watch", run.path, "--every", "7") == 0
    assert slept == [7.0]
    assert "trials 16/16" in capsys.readouterr().out


def test_sync_without_offline_runs_has_nothing_to_do(monkeypatch, tmp_path, capsys):
    run = FakeRun(tmp_path / "synced").write()
    assert call(monkeypatch, "sync", run.path) == 0
    assert "nothing to upload" in capsys.readouterr().out


def test_sync_fails_when_runs_are_left(monkeypatch, tmp_path, capsys):
    run = FakeRun(tmp_path / "left").write()
    monkeypatch.setattr("fer_tune.tracking.sync.upload", lambda folder: (1, [folder / "wandb/offline-run-x"]))
    assert call(monkeypatch, "sync", run.path) == 1
    shown = capsys.readouterr()
    assert "1 run uploaded" in shown.out
    assert "offline-run-x" in shown.err


def test_a_dry_run_tells_what_it_would_take_and_starts_nothing(monkeypatch, asked, capsys):
    import fer_tune.search.sizing.estimate as sizing
    from fer_tune.search.cluster.hardware import Resources
    from fer_tune.training.probing.probe import Probe

    def estimate(options: engine.SearchOptions) -> sizing.Estimate:
        cost = sizing.BackboneCost("cnn_simpler", options.trials, (Probe(64, 48, 10.0, 2**18, 2**20),))
        epochs = sizing.expected_epochs(options)
        return sizing.Estimate(options, Resources(1, 0, 1, 2), 2.0, 0.0, "cpu", (100, 10), epochs, (cost,))

    monkeypatch.setattr(sizing, "estimate", estimate)
    assert call(monkeypatch, *BASE, "--trials", "7", "--scheduler", "none", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "7 of cnn_simpler" in shown
    assert "about 7 min" in shown  # 7 trials of 12 epochs of 10 s, two at a time
    assert "Nothing was started." in shown
    assert "options" not in asked
