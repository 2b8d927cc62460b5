"""The held-out split: who wins, one opening, on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from drawing import tiny_dataset
from sklearn import metrics as sk

from analysis.heldout.cost import measure, watched
from analysis.heldout.opening import run_test
from analysis.refits.final_plan import plan_final
from analysis.refits.selection import select_models, select_winner
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.training.evaluation import predict


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
    folder = made.run.folder.test(plan.configs[0].config_id, 1)
    frame = pd.read_parquet(folder / "predictions.parquet")
    columns = [name for name in frame if name.startswith("p_")]
    assert len(frame) == 3 * 210
    assert list(frame.columns) == ["source", "label", "group", "seed", *(f"p_{name}" for name in made.card.classes)]
    accuracies, f1 = [], []
    for _, rows in frame.groupby("seed"):
        predicted = rows[columns].idxmax(axis=1).str.removeprefix("p_")
        accuracies.append(sk.accuracy_score(rows["label"], predicted))
        f1.append(sk.f1_score(rows["label"], predicted, average="macro"))
    recorded = json.loads((folder / "metrics.json").read_text())
    by_library = {name: [] for name in recorded["more"]}
    for _, rows in frame.groupby("seed"):
        truth = rows["label"].astype(str)
        predicted = rows[columns].idxmax(axis=1).str.removeprefix("p_")
        names = [name.removeprefix("p_") for name in columns]
        p = rows[columns].to_numpy(dtype=float)
        p = p / p.sum(axis=1, keepdims=True)
        for average in ("macro", "weighted"):
            values = sk.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
            for name, value in zip(("precision", "recall", "f1"), values[:3], strict=True):
                by_library.get(f"{average}_{name}", []).append(value)
            area = sk.roc_auc_score(truth, p, multi_class="ovr", average=average, labels=names)
            by_library[f"{average}_auc"].append(area)
        by_library["log_loss"].append(sk.log_loss(truth, p, labels=names))
    compared = {name: values for name, values in by_library.items() if values}
    assert len(compared) == 8  # all but specificity and calibration, which scikit-learn does not have
    for name, values in compared.items():
        assert recorded["more"][name]["per_seed"] == pytest.approx(values, abs=1e-5), name
    assert recorded["accuracy"]["per_seed"] == pytest.approx(accuracies)
    assert recorded["macro_f1"]["per_seed"] == pytest.approx(f1)
    assert recorded["seeds"] == plan.seeds
    assert made.run.tests == [result]
    split = PreparedDataset.open(made.data).open_test()
    assert list(frame["source"][:210]) == split.sources
    assert list(frame["label"][:210]) == [made.card.classes[label] for label in split.labels]


def test_all_that_is_compared_is_tested_in_one_opening(tested) -> None:
    made, winner = tested
    run = made.run
    [line] = run.openings
    published = {entry.published.name for entry in run.published}
    assert line["what"] == winner.config_id
    assert line["views"] == ["none", "flip", "ten_crop"]
    beside = [result for result in run.tests if result.role == "published"]
    assert {result.origin for result in beside} == published
    assert sorted(line["beside"]) == sorted(result.config_id for result in beside)
    assert run.tests[0].config_id == winner.config_id
    assert {pair.second for pair in run.comparison.pairs} == set(line["beside"])
    assert {pair.first for pair in run.comparison.pairs} == {winner.config_id}
    for result in beside:
        assert run.predictions(result.config_id).probabilities.shape == (3, 210, 7)


def test_views_are_further_rows_with_predictions_of_their_own(tested) -> None:
    made, winner = tested
    assert set(winner.views) == {"flip", "ten_crop"}
    for kind, scores in winner.views.items():
        read = made.run.predictions(winner.config_id, kind)
        accuracy = (read.probabilities.argmax(-1) == read.labels).mean(1)
        assert scores.accuracy.per_seed == pytest.approx(accuracy)
    assert winner.views["ten_crop"].accuracy.value > winner.accuracy.value


def test_a_published_winner_is_compared_with_the_best_searched_one(made, models) -> None:
    made.refit([[0.5, 0.5], [0.4, 0.4], [0.7, 0.7], [0.3, 0.3]], published=2)
    first, *others = select_models(made.run)
    assert first.refit.config.origin != "searched" or first.refit.mean == 0.7
    roles = {each.role for each in others}
    assert ("searched" in roles) == (first.refit.config.origin != "searched")


def test_a_winner_that_alone_was_trained_on_val_too_is_tested_alone(made, models) -> None:
    made.refit([[0.6, 0.6], [0.5, 0.5], [0.4, 0.4]], published=2)
    assert len(select_models(made.run)) == 3
    plan = plan_final(made.run, epochs=7, published=False)
    write_json(plan, made.run.folder.final_file)
    for seed in plan.seeds:
        made.fake.refit_joined(made.run.folder, plan.configs[0].config_id, seed)
    result = run_test(made.run, **models)
    assert (result.config_id, result.trained_on, result.epochs) == (plan.configs[0].config_id, "train+val", [9, 9])
    assert made.run.tests == [result]
    assert made.run.comparison is None


def test_predictions_read_back_as_they_were_written(tested) -> None:
    made, winner = tested
    read = made.run.predictions(winner.config_id)
    split = PreparedDataset.open(made.data).open_test()
    assert (read.labels == split.labels).all()
    assert read.sources == split.sources
    assert read.groups == split.groups
    assert read.seeds == winner.seeds
    assert read.classes == made.card.classes
    assert read.probabilities.sum(-1) == pytest.approx(1, abs=1e-5)
    with pytest.raises(UserError, match="nothing was not tested; `fer-tune test` does"):
        made.run.predictions("nothing")


def test_the_card_is_kept_with_the_run(tested) -> None:
    made, _ = tested
    assert json.loads(made.run.folder.dataset_file.read_text())["content_hash"] == made.card.content_hash


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
    assert str(made.run.folder.test(first.config_id, 1) / "metrics.json") in str(refused.value)
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
    with pytest.raises(UserError, match=r"gone: no such folder(?s:.*)run: --data names its dataset \(.*\) elsewhere"):
        run_test(made.run, data=tmp_path / "gone", **models)
    assert made.run.openings == []


def test_a_missing_model_costs_no_opening(made, models, monkeypatch) -> None:
    plan = made.refit([[0.6, 0.61]])
    (made.run.folder.refit_seed(plan.configs[0].config_id, plan.seeds[1]) / "best.safetensors").unlink()
    opening_forbidden(monkeypatch)
    with pytest.raises(UserError, match=r"best\.safetensors: missing"):
        run_test(made.run, **models)
    assert made.run.openings == []


def test_a_model_that_does_not_do_what_it_did_costs_no_opening(made, monkeypatch) -> None:
    import torch
    from safetensors.torch import save_file

    from fer_tune.models import create_model

    plan = made.refit([[0.5]])
    [config] = plan.configs
    torch.manual_seed(0)
    model = create_model(config.backbone, num_classes=7, in_chans=1)
    place = made.run.folder.refit_seed(config.config_id, plan.seeds[0])
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, place / "best.safetensors")
    with monkeypatch.context() as forbidden:
        opening_forbidden(forbidden)
        with pytest.raises(UserError, match=r"% on validation here, but had 50\.00 % when it was trained"):
            run_test(made.run, device="cpu")
    assert made.run.openings == []
    data = PreparedDataset.open(made.data)
    predicted = predict(model.eval(), data.val(), data.card, "cpu").argmax(1)
    accuracy = float((predicted == data.val().labels).mean())
    ended = made.run.refit_result(config.config_id, plan.seeds[0])
    write_json(ended.model_copy(update={"val_accuracy": accuracy}), place / "result.json")
    result = run_test(made.run, device="cpu", views=("flip", "ten_crop"), resamples=50)
    assert result.cost.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert set(result.views) == {"flip", "ten_crop"}
    frame = pd.read_parquet(made.run.folder.test(config.config_id, 1) / "examples.parquet")
    assert (frame["heat"].notna() == (frame["kind"] != "further")).all()


def test_only_heldout_opens_the_split() -> None:
    root = Path(__file__).parents[2]
    callers = [
        str(file.relative_to(root))
        for package in ("analysis", "fer_tune")
        for file in (root / package).rglob("*.py")
        if "open_test(" in file.read_text(encoding="utf-8")
    ]
    openers = ["analysis/heldout/further.py", "analysis/heldout/opening.py"]
    assert sorted(callers) == [*openers, "fer_tune/data/prepared/store.py"]


def test_cost_counts_parameters_and_times_the_shape_that_the_model_was_given() -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 4 * 5, 7))
    with watched(model) as shape:
        model(torch.zeros(2, 3, 4, 5))
    assert shape == [(3, 4, 5)]
    found = measure(model, shape[0], "cpu")
    assert found.parameters == 60 * 7 + 7
    assert 0 < found.latency_low_ms <= found.latency_ms <= found.latency_high_ms
    assert found.images_per_second > 0
    assert found.device.startswith("cpu")
    with watched(1001) as shape:
        pass
    assert shape == []
