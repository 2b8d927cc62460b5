"""A record of a run that was removed is told, with what brings it back; it is not read as one that never was."""

from __future__ import annotations

import shutil

import pytest
from fake_run import FakeRun

from analysis import load_run
from analysis.heldout.opening import run_test
from analysis.refits.final_plan import plan_final
from analysis.refits.plan import plan_refits
from analysis.report.writing import write_report
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.filing.tables import write_table
from fer_tune.run_folder import TRIAL_COLUMNS


def test_a_table_of_epochs(made) -> None:
    (made.path / "epochs.parquet").unlink()
    with pytest.raises(UserError, match=r"epochs\.parquet: is missing; `fer-tune resume .*/run` writes it anew"):
        _ = made.run.epochs
    with pytest.raises(UserError, match=r"epochs\.parquet: is missing"):
        write_report(made.run)
    shutil.rmtree(made.path / "tune")
    with pytest.raises(UserError, match=r"epochs\.parquet: is missing; take it from a backup, for .*/run/tune"):
        _ = made.run.epochs


def test_of_trials_that_had_no_epoch_none_are_missing(made) -> None:
    (made.path / "epochs.parquet").unlink()
    write_table([{"trial_id": "a", "status": "running", "epochs": 0}], TRIAL_COLUMNS, made.path / "trials.parquet")
    assert len(made.run.epochs) == 0


def test_both_tables_of_trials_that_left_weights(made) -> None:
    for name in ("trials", "epochs"):
        (made.path / f"{name}.parquet").unlink()
    (made.path / "tune" / "0a1b2c3d").mkdir()
    (made.path / "tune" / "0a1b2c3d" / "best.safetensors").touch()
    with pytest.raises(UserError, match=r"trials\.parquet: is missing; `fer-tune resume .*` writes it anew"):
        _ = made.run.rows


def test_the_settings_of_a_search(made) -> None:
    (made.path / "search.yaml").unlink()
    with pytest.raises(UserError, match=r"run: its search\.yaml is missing, .*\(trials\.parquet, tune is there\)"):
        load_run(made.path)


def test_the_plan_of_refits_is_made_anew_and_what_has_ended_is_kept(made) -> None:
    plan = made.refit([[0.6, 0.61], [0.5, 0.5]])
    made.run.folder.refit_file.unlink()
    with pytest.raises(UserError, match=r"refit\.json: is missing, and models are there that were trained by it; give"):
        run_test(made.run)
    with pytest.raises(UserError, match=r"refit\.json: is missing"):
        write_report(made.run)
    write_json(plan_refits(made.run, top=2, seeds=2, published=False), made.run.folder.refit_file)
    assert [refit.values for refit in made.run.refits] == [[0.6, 0.61], [0.5, 0.5]]
    assert made.run.refit_plan.configs == plan.configs


def test_the_plan_of_the_last_training(made) -> None:
    plan = made.refit([[0.6, 0.61]])
    assert made.run.final_plan is None
    final = plan_final(made.run)
    write_json(final, made.run.folder.final_file)
    for seed in plan.seeds:
        made.fake.refit_joined(made.run.folder, plan.configs[0].config_id, seed)
    made.run.folder.final_file.unlink()
    with pytest.raises(UserError, match=r"final\.json: is missing, and models on train and val are there; run `fer"):
        run_test(made.run)
    assert plan_final(made.run).configs == final.configs


def test_the_epochs_of_refits_cost_a_figure(made) -> None:
    made.refit([[0.6, 0.61]])
    for file in made.path.glob("refit/*/*/epochs.parquet"):
        file.unlink()
    assert "learning_curves" not in {file.stem for file in write_report(made.run).figures}


def test_what_a_test_gave(made, models) -> None:
    made.refit([[0.6, 0.61]])
    result = run_test(made.run, **models)
    folder = made.run.folder.test(result.config_id, 1)
    (folder / "predictions.parquet").unlink()
    with pytest.raises(UserError, match=r"predictions\.parquet: is missing; take it from a backup, .*--again` reads"):
        made.run.predictions(result.config_id)
    (folder / "metrics.json").unlink()
    written = write_report(made.run)
    assert "the held-out split was read, and what that gave is not in the run" in written.answer
    text = written.markdown.read_text(encoding="utf-8")
    assert "has not been read" not in text
    assert "metrics.json is on record and is gone" in text.replace("\\", "")


def test_a_run_that_was_not_refitted_is_told_so(tmp_path) -> None:
    FakeRun(tmp_path / "run").write()
    with pytest.raises(UserError, match="nothing is refitted yet"):
        load_run(tmp_path / "run").folder.refit_plan()
