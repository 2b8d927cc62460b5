"""What validation chose is tested in the same opening, used by predict and export, and told by the report."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fake_run import guesses
from safetensors.torch import load_file, save_file

from analysis.combining import averaging
from analysis.combining.averaging import Soup
from analysis.combining.judging import Judge
from analysis.combining.validation import validation_file
from analysis.heldout.opening import run_test
from analysis.refits.final_plan import plan_final
from analysis.refits.predictor import Predictor
from analysis.report.form.rendering import as_markdown
from analysis.report.latex import tables
from analysis.report.sections.whole import describe
from analysis.report.telling.combined import combined
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import standing
from analysis.run.combinations import averaged_folder, chosen_folder, latest_choice, result_file
from analysis.run.predictions import read_predictions
from analysis.use.predicting import used
from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.models import create_model
from fer_tune.objectives import ACCURACY
from fer_tune.training.evaluation import predict

_VIEWS = ("flip", "ten_crop")


def predict_well_together(model: int, split: Any, card: Any, device: Any, views: str = "none") -> Any:
    """Stand in for `predict`: each model errs on other images, so that several do far better than one."""
    rng = np.random.default_rng(model + len(views))
    right = rng.uniform(size=len(split.labels)) < 0.6
    answers = np.where(right, split.labels, rng.integers(0, len(card.classes), len(split.labels)))
    return (np.eye(len(card.classes))[answers] * 0.5 + 0.5 / len(card.classes)).astype(np.float32)


@pytest.fixture(scope="module")
def together(tmp_path_factory, data):
    """A run that was tested, whose models do better together; not to be changed."""
    from made_run import load_seed, make_run

    made = make_run(tmp_path_factory.mktemp("together") / "run", data)
    made.refit([[0.6] * 5, [0.5] * 5, [0.4] * 5, [0.3] * 5], published=2)
    stand_ins = {"load": load_seed, "predict": predict_well_together, "device": "cpu", "resamples": 100}
    return made, run_test(made.run, views=_VIEWS, **stand_ins), stand_ins


def test_what_is_chosen_stands_on_record_before_the_split_is_opened(together) -> None:
    made, _, _ = together
    [line] = made.run.openings
    assert line["chosen"] == latest_choice(made.run).choice.combination.name
    assert "mean of " in line["chosen"]


def test_the_chosen_one_is_scored_and_compared_with_the_single_model_on_the_same_images(together) -> None:
    made, winner, _ = together
    tested = latest_choice(made.run)
    labels = PreparedDataset.open(made.data).open_test().labels
    own = tested.choice.combination
    joint = 0
    for member in own.members:
        each = made.run.predictions(member.config_id, own.views)
        joint = joint + member.share * each.probabilities[each.seeds.index(member.seed)]
    assert tested.scores.accuracy.value == pytest.approx((joint.argmax(-1) == labels).mean())
    kept = read_predictions(chosen_folder(made.run, 1) / "predictions.parquet")
    assert kept.probabilities[0] == pytest.approx(joint, abs=1e-6)
    assert tested.gain.value == pytest.approx(tested.scores.accuracy.value - winner.accuracy.value)
    assert tested.gain.low > 0


def test_all_comparisons_of_an_opening_are_corrected_together(together) -> None:
    made, _, _ = together
    others = len(made.run.comparison.pairs)
    assert latest_choice(made.run).gain.comparisons == others + 1
    assert f"corrected for {others + 1} comparisons" in made.run.comparison.method
    told = gather(made.run, standing(made.run), []).versus_method  # its table has one row less
    assert f"One of them is that of the {latest_choice(made.run).choice.combination.name}, which validation" in told
    first = made.run.comparison.pairs[0]
    assert first.shown == (first.p < 0.05)


def test_predictions_on_validation_are_kept_and_not_made_twice(together) -> None:
    made, winner, _ = together
    places = list(made.run.folder.refit_file.parent.glob("*/seed_*"))
    assert len(places) == 20
    assert all(validation_file(place, views).is_file() for place in places for views in ("none", "flip"))
    labels = PreparedDataset.open(made.data).val().labels
    place = made.run.folder.refit_seed(winner.config_id, winner.seeds[0])
    expected = predict_well_together(winner.seeds[0], PreparedDataset.open(made.data).val(), made.card, "cpu", "flip")
    found = read_predictions(validation_file(place, "flip"))
    assert (found.labels == labels).all()
    assert found.probabilities[0] == pytest.approx(expected)


def test_another_opening_computes_nothing_on_validation_again_but_the_check(made, models) -> None:
    made.refit([[0.6, 0.6], [0.5, 0.5]])
    run_test(made.run, views=("flip",), **models)
    seen = []

    def counted(model: int, split: Any, card: Any, device: Any, views: str = "none") -> Any:
        seen.append((split.name, views))
        return guesses(split.labels, 0.65, len(card.classes), model)

    run_test(made.run, views=("flip",), again=True, **{**models, "predict": counted})
    assert seen.count(("val", "none")) == 2  # the winner's two seeds, which must do what they did
    assert ("val", "flip") not in seen


def test_without_mirror_images_none_is_tried(made, models) -> None:
    made.refit([[0.6, 0.6]])
    run_test(made.run, **models)
    assert {way.views for way in latest_choice(made.run).choice.combinations} == {"none"}


def test_nothing_is_chosen_where_that_is_told(made, models) -> None:
    made.refit([[0.6, 0.6]])
    run_test(made.run, combine=False, **models)
    assert latest_choice(made.run) is None
    assert combined(made.run) is None
    assert "chosen" not in made.run.openings[0]
    with pytest.raises(UserError, match=r"--use chosen: .* was told not to"):
        used(made.run, "chosen")


def test_models_on_train_and_val_leave_nothing_to_choose_by(made, models) -> None:
    made.refit([[0.6, 0.6]])
    plan = plan_final(made.run, epochs=7, published=False)
    write_json(plan, made.run.folder.final_file)
    for seed in plan.seeds:
        made.fake.refit_joined(made.run.folder, plan.configs[0].config_id, seed)
    run_test(made.run, **models)
    assert latest_choice(made.run) is None
    with pytest.raises(UserError, match="trained on train and val together"):
        used(made.run, "chosen")


def test_the_single_model_is_kept_where_nothing_else_is_better(made, models) -> None:
    made.refit([[0.6, 0.6], [0.5, 0.5]])

    def alike(model: int, split: Any, card: Any, device: Any, views: str = "none") -> Any:
        return guesses(split.labels, 0.65, len(card.classes), 7)

    run_test(made.run, **{**models, "predict": alike})
    tested = latest_choice(made.run)
    assert tested.choice.is_single
    assert (tested.scores, tested.gain) == (None, None)
    assert "the single model is kept" in combined(made.run).said[0]


def test_before_the_test_nothing_is_chosen(made) -> None:
    made.refit([[0.6, 0.6]])
    with pytest.raises(UserError, match=r"--use chosen: `fer-tune test .*` has not chosen yet"):
        used(made.run, "chosen")


def test_the_chosen_models_are_used(together) -> None:
    made, winner, _ = together
    models, own = used(made.run, "chosen"), latest_choice(made.run).choice.combination
    assert list(zip(models.config_ids, models.seeds, strict=True)) == [(m.config_id, m.seed) for m in own.members]
    assert models.weights().tolist() == [member.share for member in own.members]
    assert models.words.startswith(own.name)
    for asked in ({"config_id": winner.config_id}, {"seed": 3}, {"views": "flip"}):
        with pytest.raises(UserError, match=r"--use chosen: .*; leave out --"):
            used(made.run, "chosen", **asked)
    assert len(used(made.run, "ensemble").seeds) == 5
    assert len(used(made.run, "single").seeds) == 1


def test_the_report_tells_what_was_chosen_what_that_promised_and_what_it_costs(together) -> None:
    made, _, _ = together
    facts = gather(made.run, standing(made.run), [])
    page = as_markdown(describe(facts, []))
    section = page.split("## One model or several: what validation chose")[1].split("\n## ")[0]
    tested = latest_choice(made.run)
    assert section.count("\n|") == 2 + len(tested.choice.combinations)
    assert "A figure by which something is chosen flatters it" in section
    assert f"On the held-out images the {tested.choice.combination.name} classifies" in section
    assert "That is better than the single model" in section
    assert f"It takes {tested.choice.combination.passes} forward passes for an image" in section
    assert "Averaged weights: not tried" in section
    assert r"\label{tab:combined}" in tables(facts)


def test_a_mirrored_single_model_has_the_scores_of_each_seed(made, models) -> None:
    made.refit([[0.6, 0.61]])

    def mirrored(model: int, split: Any, card: Any, device: Any, views: str = "none") -> Any:
        return guesses(split.labels, 0.9 if views == "flip" else 0.4, len(card.classes), 5)

    run_test(made.run, **{**models, "predict": mirrored}, views=("flip",))
    tested = latest_choice(made.run)
    assert tested.choice.combination.name == "single model, with its mirror image"
    assert len(tested.scores.accuracy.per_seed) == 2
    assert tested.gain.value == pytest.approx(tested.scores.accuracy.value - made.run.tests[0].accuracy.value)
    assert 0.4 < tested.gain.low < tested.gain.value
    found = used(made.run, "chosen")
    assert (len(found.seeds), found.mirrored) == (1, True)


def test_averaged_weights_are_tried_where_the_seeds_began_at_the_same_ones(made, monkeypatch) -> None:
    monkeypatch.setattr(averaging, "_retake_statistics", lambda *_: None)  # random networks fare worse with new ones
    plan = made.refit([[0.5, 0.5, 0.5]])
    [config] = plan.configs
    config.config["weights"] = "the same for all"
    write_json(plan, made.run.folder.refit_file)
    torch.manual_seed(0)
    model = create_model(config.backbone, num_classes=7, in_chans=1).eval()
    data = PreparedDataset.open(made.data)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for place, seed in enumerate(plan.seeds):
        moved = {
            n: w + 1e-3 * place * w.std() if w.is_floating_point() and w.dim() > 1 else w for n, w in weights.items()
        }
        folder = made.run.folder.refit_seed(config.config_id, seed)
        save_file({name: tensor.contiguous() for name, tensor in moved.items()}, folder / "best.safetensors")
        model.load_state_dict(moved)
        accuracy = float((predict(model, data.val(), data.card, "cpu").argmax(1) == data.val().labels).mean())
        ended = made.run.refit_result(config.config_id, seed)
        write_json(ended.model_copy(update={"val_accuracy": accuracy - 0.02}), folder / "result.json")
    run_test(made.run, device="cpu", views=("flip",), resamples=50)
    result = latest_choice(made.run)
    kinds = [way.kind for way in result.choice.combinations]
    folder = averaged_folder(made.run, config.config_id)
    soup = kinds.index("soup")
    assert result.choice.combinations[soup].passes == 1
    write_json(
        result.model_copy(update={"choice": result.choice.model_copy(update={"chosen": soup})}),
        result_file(chosen_folder(made.run, 1)),
    )
    models = used(made.run, "chosen")
    assert models.files == [folder / "best.safetensors"]
    assert models.words.startswith("averaged weights of ")


def test_a_soup_is_the_mean_of_the_weights_with_statistics_of_its_own_and_is_made_once(tmp_path, data) -> None:
    prepared = PreparedDataset.open(data[0])
    settings = TrialConfig(backbone="cnn_separable", epochs=1)
    torch.manual_seed(0)
    weights = create_model("cnn_separable", num_classes=7, in_chans=1).state_dict()
    files = []
    for place in range(2):
        moved = {n: w + 0.01 * place if n.endswith("weight") else w for n, w in weights.items()}
        files.append(tmp_path / f"{place}.safetensors")
        save_file({name: tensor.contiguous().clone() for name, tensor in moved.items()}, files[-1])
    predictor, val = Predictor(prepared.card, "cpu"), prepared.val()
    judge = Judge(ACCURACY, val.labels, None)
    soup = Soup(tmp_path / "averaged", [settings] * 2, files, [1, 2])
    taken, found = soup.predictions(predictor, prepared.train(), val, judge, [0.0, 0.0], ("none", "flip"))
    assert taken == [1, 2]  # it cannot be worse than no image right
    made = load_file(tmp_path / "averaged" / "best.safetensors")
    each = [load_file(file) for file in files]
    for name, tensor in made.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(tensor, (each[0][name] + each[1][name]) / 2, atol=1e-6), name
    variances = [name for name in made if name.endswith("running_var")]
    assert variances
    assert not any(torch.equal(made[name], each[0][name]) for name in variances)
    model = predictor.load(settings, tmp_path / "averaged" / "best.safetensors")
    assert found["flip"] == pytest.approx(predictor.predict(model, settings, val, "flip"), abs=1e-6)
    for file in files:
        file.unlink()
    again = soup.predictions(predictor, prepared.train(), val, judge, [0.0, 0.0], ("none", "flip"))
    assert again[0] == taken
    assert (again[1]["none"] == found["none"]).all()


def test_the_files_of_the_choice_are_on_record(together) -> None:
    made, _, _ = together
    lines = [json.loads(line) for line in made.run.folder.ledger_file.read_text().splitlines()]
    assert {"test/opening_1/chosen/result.json", "test/opening_1/chosen/predictions.parquet"} <= set(lines[-1]["files"])
    assert len(pd.read_parquet(chosen_folder(made.run, 1) / "predictions.parquet")) == 210
