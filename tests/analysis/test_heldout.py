"""The held-out split: who wins, one opening, on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from drawing import tiny_dataset
from sklearn import metrics as sk

from analysis.heldout import run_test, select_winner
from fer_tune.data.store import PreparedDataset
from fer_tune.errors import UserError


def test_the_winner_has_the_best_mean_over_seeds_not_the_best_seed(made) -> None:
    plan = made.refit([[0.60, 0.70], [0.66, 0.67]])
    assert select_winner(made.run).winner.config.config_id == plan.configs[1].config_id


def test_missing_seeds_must_be_trained_first(made) -> None:
    plan = made.refit([[0.6, 0.6]])
    (made.run.folder.refit_seed(plan.configs[0].config_id, plan.seeds[0]) / "result.json").unlink()
    with pytest.raises(UserError, match="1 of 2 refits have not ended; go on with `fer-tune refit"):
        select_winner(made.run)


def test_nothing_refitted_says_so(made) -> None:
    with pytest.raises(UserError, match="nothing is refitted yet"):
        select_winner(made.run)


def test_failed_seeds_are_told_and_a_configuration_with_too_few_is_left_out(made) -> None:
    plan = made.refit([[0.6, 0.6, None], [0.9, None, None]])
    chosen = select_winner(made.run)
    assert chosen.winner.config.config_id == plan.configs[0].config_id
    assert f"{plan.configs[0].config_id}: 2 of 3 seeds" in chosen.words
    assert f"{plan.configs[1].config_id}: 1 of 3 seeds" in chosen.words


def test_too_many_failures_everywhere(made) -> None:
    made.refit([[0.6, None]])
    with pytest.raises(UserError, match="at least half of the seeds failed"):
        select_winner(made.run)


def test_predictions_give_the_recorded_metrics_in_scikit_learn(made, models) -> None:
    plan = made.refit([[0.6, 0.61, 0.62]])
    result = run_test(made.run, **models)
    folder = made.run.folder.test(plan.configs[0].config_id)
    frame = pd.read_parquet(folder / "predictions.parquet")
    columns = [name for name in frame if name.startswith("p_")]
    assert len(frame) == 3 * 210
    assert list(frame.columns) == ["source", "label", "seed", *(f"p_{name}" for name in made.card.classes)]
    accuracies, f1 = [], []
    for _, rows in frame.groupby("seed"):
        predicted = rows[columns].idxmax(axis=1).str.removeprefix("p_")
        accuracies.append(sk.accuracy_score(rows["label"], predicted))
        f1.append(sk.f1_score(rows["label"], predicted, average="macro"))
    recorded = json.loads((folder / "metrics.json").read_text())
    assert recorded["accuracy"]["per_seed"] == pytest.approx(accuracies)
    assert recorded["macro_f1"]["per_seed"] == pytest.approx(f1)
    assert recorded["seeds"] == plan.seeds
    assert made.run.tests == [result]
    split = PreparedDataset.open(made.data).open_test()
    assert list(frame["source"][:210]) == split.sources
    assert list(frame["label"][:210]) == [made.card.classes[label] for label in split.labels]


def test_the_opening_is_on_record_before_the_split_is_read(made, models, monkeypatch) -> None:
    made.refit([[0.6, 0.61]])

    def crash(self: Any) -> Any:
        raise OSError("the disk died")

    monkeypatch.setattr(PreparedDataset, "open_test", crash)
    with pytest.raises(OSError, match="disk"):
        run_test(made.run, **models)
    [line] = made.run.openings
    assert line["split_hash"] == made.card.split_hashes["test"]
    assert line["why"] == "first reading"
    with pytest.raises(UserError, match=r"opened once.*left no result"):
        run_test(made.run, **models)


def test_a_second_opening_needs_again_and_is_counted(made, models) -> None:
    made.refit([[0.6, 0.61]])
    first = run_test(made.run, **models)
    with pytest.raises(UserError) as refused:
        run_test(made.run, **models)
    assert first.when in str(refused.value)
    assert str(made.run.folder.test(first.config_id) / "metrics.json") in str(refused.value)
    assert "--again" in str(refused.value)
    assert len(made.run.openings) == 1
    second = run_test(made.run, again=True, why="the labels were corrected", **models)
    assert (first.opening, second.opening) == (1, 2)
    assert [line["why"] for line in made.run.openings] == ["first reading", "the labels were corrected"]
    assert second.accuracy == first.accuracy  # reproducible, bounds included


def opening_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> Any:
        raise AssertionError("the held-out split was opened")

    monkeypatch.setattr(PreparedDataset, "open_test", refuse)


def test_another_dataset_costs_no_opening(made, models, monkeypatch, tmp_path: Path) -> None:
    made.refit([[0.6, 0.61]])
    tiny_dataset(tmp_path / "other", n_train=14, n_val=7, n_test=7, seed=9)
    opening_forbidden(monkeypatch)
    with pytest.raises(UserError, match="not the dataset of this run"):
        run_test(made.run, data=tmp_path / "other", **models)
    assert made.run.openings == []


def test_a_missing_model_costs_no_opening(made, models, monkeypatch) -> None:
    plan = made.refit([[0.6, 0.61]])
    (made.run.folder.refit_seed(plan.configs[0].config_id, plan.seeds[1]) / "best.safetensors").unlink()
    opening_forbidden(monkeypatch)
    with pytest.raises(UserError, match=r"best\.safetensors: missing"):
        run_test(made.run, **models)
    assert made.run.openings == []


def test_only_heldout_opens_the_split() -> None:
    root = Path(__file__).parents[2]
    callers = [
        str(file.relative_to(root))
        for package in ("analysis", "fer_tune")
        for file in (root / package).rglob("*.py")
        if "open_test(" in file.read_text(encoding="utf-8")
    ]
    assert sorted(callers) == ["analysis/heldout.py", "fer_tune/data/store.py"]
