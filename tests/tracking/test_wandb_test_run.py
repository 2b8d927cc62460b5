"""The W&B run of a test: what is in it, and that no photograph and no name of one leaves the machine unasked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from wandb_reader import RecordedRun, read_runs
from wandb_server import serving

import analysis.recording.attachments
from analysis import Run, load_run
from analysis.recording.record import record_test
from analysis.results import TestResult
from analysis.run.predictions import predictions_file

PNG = b"\x89PNG"


def recorded(run: Run) -> tuple[RecordedRun, TestResult]:
    result = run.tests[0]
    record_test(run, result)
    (one,) = read_runs(run.folder.path).values()
    return one, result


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]


def test_it_holds_scores_tables_and_charts(run: Run) -> None:
    one, result = recorded(run)
    assert (one.run.job_type, one.run.run_group, one.run.display_name) == ("test", "whole", result.config_id)
    assert one.run.run_id.startswith(f"whole-test-{result.config_id}-")
    assert one.exit_code == 0
    assert one.summary["test_accuracy"] == result.accuracy.value
    assert one.summary["test_f1/happy"] == next(row.f1.value for row in result.per_class if row.name == "happy")

    classes = one.table("per_class")
    assert [(row["class"], row["images"], row["f1"], row["recall_low"]) for row in classes] == [
        (row.name, row.support, row.f1.value, row.recall.low) for row in result.per_class
    ]
    (pair,) = one.table("against")
    assert run.comparison is not None
    assert (pair["difference"], pair["words"]) == (run.comparison.pairs[0].difference, run.comparison.pairs[0].words)

    counts = {(row["Actual"], row["Predicted"]): row["nPredictions"] for row in one.table("confusion_table")}
    total = np.sum(np.asarray(result.confusion), axis=0)
    names = result.classes
    assert counts == {(names[i], names[j]): total[i, j] for i in range(len(names)) for j in range(len(names))}
    for name in ("confusion", "roc", "precision_recall"):
        assert one.config[f"_wandb.visualize.{name}"]["panel_type"] == "Vega2"


def test_curves_are_those_of_the_predictions(run: Run) -> None:
    one, result = recorded(run)
    points = pd.DataFrame(one.table("roc_table"))
    assert set(points["class"]) == set(result.classes)
    areas = {scores.name: scores.auc.value for scores in result.per_class if scores.auc is not None}
    for name, own in points.groupby("class"):
        assert (own["x"].iloc[0], own["y"].iloc[0], own["x"].iloc[-1], own["y"].iloc[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(own["y"], own["x"]) == pytest.approx(areas[name], abs=0.1)  # the ensemble's, not the mean
    recalled = pd.DataFrame(one.table("precision_recall_table"))
    assert recalled["x"].between(0, 1).all()
    assert recalled["y"].between(0, 1).all()
    assert recalled.groupby("class")["x"].max().eq(1).all()


def test_long_curves_and_long_tables_are_cut(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis.recording.attachments, "CURVE_POINTS", 5)
    monkeypatch.setattr(analysis.recording.attachments, "PREDICTIONS", 10)
    one, _ = recorded(run)
    points = pd.DataFrame(one.table("roc_table"))
    assert points.groupby("class").size().max() == 5
    assert points.groupby("class")["x"].max().eq(1).all()  # the end is kept
    rows = one.table("predictions")
    assert len(rows) == 10
    assert not any(row["right"] for row in rows)  # mistakes first, the most confident before the others
    assert [row["confidence"] for row in rows] == sorted((row["confidence"] for row in rows), reverse=True)


def test_the_dataset_is_used_as_its_card_and_the_model_and_the_report_are_logged(run: Run) -> None:
    one, result = recorded(run)
    kept = {artifact.type: artifact for artifact in one.logged.values() if artifact.type != "run_table"}
    assert {kind: artifact.use_after_commit for kind, artifact in kept.items()} == {
        "dataset": True,
        "model": False,
        "report": False,
    }
    card = one.content(kept["dataset"].name)
    assert list(card) == ["dataset.json"]
    assert json.loads(card["dataset.json"].read_text())["content_hash"] == result.content_hash
    for artifact in ("dataset", "model"):
        assert json.loads(kept[artifact].metadata)["content_hash"] == result.content_hash
    model = one.content(kept["model"].name)
    known = json.loads(kept["model"].metadata)
    assert known["seed"] == 1002  # the best on validation, as for `fer-tune export`
    assert model["model.safetensors"].read_text() == "1002"
    assert json.loads(model["preprocessing.json"].read_text())["classes"] == result.classes
    report = one.content(kept["report"].name)
    assert set(report) == {"report.html", "report.md"}
    assert result.config_id in report["report.md"].read_text()


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def test_no_image_and_no_name_of_one_is_recorded_unasked(run: Run) -> None:
    one, result = recorded(run)
    doubtful = pd.read_parquet(run.folder.test(result.config_id, 1) / "doubtful.parquet")
    assert len(doubtful)  # else this test would see nothing
    assert not any(PNG in file.read_bytes() for file in files(run.folder.wandb))
    assert not any("mistakes" in row for rows in one.history for row in rows)
    (report,) = [one.content(name)["report.md"].read_text() for name in one.logged if name.endswith("-report")]
    assert not any(source in report for source in doubtful["source"])
    (page,) = [one.content(name)["report.html"].read_text() for name in one.logged if name.endswith("-report")]
    assert "data:image" not in page
    assert "source" not in one.table("predictions")[0]
    assert set(one.table("predictions")[0]) >= {"index", "label", "predicted", "confidence", "p_happy"}


def test_with_leave_the_mistakes_are_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_TUNE_WANDB_IMAGES", "yes")
    monkeypatch.setattr(analysis.recording.attachments, "IMAGES", 3)
    one, result = recorded(run)
    kept = pd.read_parquet(run.folder.test(result.config_id, 1) / "examples.parquet")
    kept = kept[kept["kind"] != "further"]  # those of other pairs are in the page's gallery alone
    rows = one.table("mistakes")
    assert [row["source"] for row in rows] == kept["source"][:3].tolist()
    assert rows[0]["heat"] is None  # the stand-in models cannot tell where they look
    images = {name: file for name, file in one.content(f"run-{one.run.run_id}-mistakes").items() if ".png" in name}
    assert len(images) == 3
    with Image.open(next(iter(images.values()))) as image:
        assert image.size == (24, 24)
    doubtful = pd.read_parquet(run.folder.test(result.config_id, 1) / "doubtful.parquet")
    (report,) = [one.content(name)["report.md"].read_text() for name in one.logged if name.endswith("-report")]
    assert f"| `{doubtful['source'][0]}` |" in report
    (page,) = [one.content(name)["report.html"].read_text() for name in one.logged if name.endswith("-report")]
    assert "data:image" in page  # else the test above sees nothing


def test_a_leave_that_cannot_be_read_is_none(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FER_TUNE_WANDB_IMAGES", "perhaps")
    recorded(run)
    assert warnings(caplog) == ["W&B: FER_TUNE_WANDB_IMAGES=perhaps: yes or no (the default); recorded without images"]
    assert not any(PNG in file.read_bytes() for file in files(run.folder.wandb))


def test_what_cannot_be_gathered_does_not_cost_the_scores(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    result = run.tests[0]
    predictions_file(run.folder.test(result.config_id, 1)).unlink()
    record_test(run, result)
    (warning,) = warnings(caplog)
    assert warning.startswith("W&B: tables, charts and artifacts of the test are not recorded: ")
    (one,) = read_runs(run.folder.path).values()
    assert one.summary["test_accuracy"] == result.accuracy.value


def test_online_the_server_hears_of_the_lineage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.folder.write_settings(run.settings.model_copy(update={"wandb": "online"}))
    run = load_run(run.folder.path)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        monkeypatch.setenv("WANDB_API_KEY", "0011223344556677" * 3)
        record_test(run, run.tests[0])
    assert server.artifacts["whole-model"] == "model"
    assert server.artifacts["tiny-card"] == "dataset"
    assert server.used == ["tiny-card"]
    assert b"1002" in server.uploads
    assert not any(PNG in content for content in server.uploads)
