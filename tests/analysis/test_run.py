"""Reading a run folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fake_run import FakeRun

from analysis import load_run
from fer_tune.errors import UserError
from fer_tune.filing.tables import write_table
from fer_tune.run_folder import TRIAL_COLUMNS, RunFolder
from fer_tune.search.watching.watched import read_snapshot


def test_frames_and_best_config(made) -> None:
    run = made.run
    assert len(run.trials) == 16
    assert set(run.epochs["trial_id"]) <= set(run.trials["trial_id"])
    best = run.trials.loc[run.trials["val_accuracy"].idxmax()]
    assert run.best_config["learning_rate"] == best["config.learning_rate"]
    assert run.best_config["backbone"] == best["backbone"]
    assert "failed" not in {row["status"] for row in run.ranked}


def test_settings_of_a_trial_keep_their_types_and_leave_out_what_it_did_not_have(made) -> None:
    rows = [{"trial_id": "a", "status": "completed", "val_accuracy": 0.5, "config.batch_size": 64}]
    rows.append({"trial_id": "b", "status": "completed", "val_accuracy": 0.4, "config.momentum": 0.9})
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    first, second = made.run.ranked
    assert first["config"] == {"batch_size": 64}
    assert isinstance(first["config"]["batch_size"], int)
    assert second["config"] == {"momentum": 0.9}


def test_ties_are_ordered_by_name(made) -> None:
    rows = [{"trial_id": name, "status": "completed", "val_accuracy": 0.5} for name in ("b", "c", "a")]
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    assert [row["trial_id"] for row in made.run.ranked] == ["a", "b", "c"]


def test_published_configurations_come_with_their_trials(made) -> None:
    found = made.run.published
    assert [entry.trial["origin"] for entry in found] == [entry.published.name for entry in found]
    assert {entry.backbone for entry in found} == set(made.fake.backbones)


def test_a_search_that_has_just_begun_is_empty(made) -> None:
    for name in ("trials", "epochs"):
        (made.path / f"{name}.parquet").unlink()
    run = made.run
    assert run.best_config is None
    assert len(run.trials) == 0
    assert run.refits == []
    assert run.tests == []
    assert run.openings == []


def test_refits_tell_what_ended_failed_and_is_missing(made) -> None:
    plan = made.refit([[0.6, 0.62], [0.59, None]])
    (made.run.folder.refit_seed(plan.configs[0].config_id, plan.seeds[1]) / "result.json").unlink()
    first, second = made.run.refits
    assert (first.values, first.missing) == ([0.6], [plan.seeds[1]])
    assert (second.mean, len(second.failed)) == (0.59, 1)
    assert len(made.run.refit_epochs(plan.configs[0].config_id, plan.seeds[0])) == made.fake.epochs


@pytest.mark.parametrize("content", ["not parquet", ""])
def test_a_damaged_table_is_named(made, content: str) -> None:
    (made.path / "trials.parquet").write_text(content)
    with pytest.raises(UserError, match=r"trials\.parquet: not a parquet file"):
        _ = made.run.trials


def test_a_table_of_trials_that_was_removed_is_told_with_the_cure(made) -> None:
    (made.path / "trials.parquet").unlink()
    cure = r"trials\.parquet: is missing; `fer-tune resume .*/run` writes it anew"
    with pytest.raises(UserError, match=cure):
        _ = load_run(made.path).ranked
    with pytest.raises(UserError, match=cure):
        _ = load_run(made.path).trials
    with pytest.raises(UserError, match=cure):
        read_snapshot(made.run.folder)


def test_a_table_of_another_version_is_named(made) -> None:
    write_table([{"trial_id": "a"}], {"trial_id": TRIAL_COLUMNS["trial_id"]}, made.path / "trials.parquet")
    with pytest.raises(UserError, match="lacks the columns backbone"):
        _ = made.run.rows


def test_a_table_that_lacks_a_column_is_none_of_ours(made) -> None:
    less = {name: kind for name, kind in TRIAL_COLUMNS.items() if name != "train_macro_f1"}
    flat = [{k: v for k, v in row.items() if k in less} for row in made.run.rows]
    write_table(flat, less, made.path / "trials.parquet")
    with pytest.raises(UserError, match="lacks the columns train_macro_f1"):
        _ = load_run(made.path).trials


def test_what_is_not_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run folder"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no search\.yaml in it; name one that `fer-tune search` made"):
        load_run(tmp_path)
    for name in ("first", "second"):
        FakeRun(tmp_path / name).write()
    with pytest.raises(UserError, match=r"no search\.yaml in it; name one of the runs in it: first, second$"):
        load_run(tmp_path)
    with pytest.raises(UserError, match=r"search\.yaml: a file, and no run folder; name the folder of the run"):
        load_run(tmp_path / "first" / "search.yaml")


def test_reading_needs_neither_ray_nor_wandb_nor_torch(made) -> None:
    code = (
        "import sys; from analysis import load_run; run = load_run(sys.argv[1]);"
        "run.trials, run.best_config, run.refits, run.tests;"
        "print(sorted({'ray', 'wandb', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, made.path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"fer-tune: file: input should be a valid dictionary or instance of searchsettings; copy"),
        ("name: [1,", r"fer-tune: while parsing a flow node expected the node content, .*line 1, column 10"),
        ("name: mine\n", r"fer-tune: it lacks format_version, created, dataset and more; copy it once more "),
        ("format_version: \x00", r"fer-tune: unacceptable character"),
    ],
)
def test_settings_that_are_damaged_are_told_on_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "search.yaml").write_text(text)
    with pytest.raises(
        UserError, match=rf"search\.yaml: cut off, or not a search\.yaml of this version of {told}"
    ) as caught:
        RunFolder(tmp_path).settings()
    assert "pydantic" not in str(caught.value)


def test_settings_that_are_cut_off_between_two_lines_are_told_wherever_that_is(made) -> None:
    file = made.path / "search.yaml"
    whole = file.read_text()
    fields = list(yaml.safe_load(whole))
    lines = whole.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if line.partition(":")[0] in fields]
    for start in starts[1:]:
        file.write_text("".join(lines[:start]))
        with pytest.raises(UserError, match=r"search\.yaml: cut off.*; copy it once more from where the run came from"):
            load_run(made.path)
    file.write_text(whole)
    assert load_run(made.path).settings.name == made.run.settings.name


@pytest.mark.parametrize("content", ["", "{", '{"seeds": [1]}', "[]", "\udcff"])
@pytest.mark.parametrize("name", ["refit.json", "result.json"])
def test_a_damaged_record_is_told_with_the_cure(made, name: str, content: str) -> None:
    plan = made.refit([[0.6, 0.62]])
    place = {
        "refit.json": made.run.folder.refit_file,
        "result.json": made.run.folder.refit_seed(plan.configs[0].config_id, plan.seeds[0]) / "result.json",
    }[name]
    place.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=rf"{name}: damaged, or of another version .*; remove it.*`fer-tune refit "):
        _ = made.run.refits
