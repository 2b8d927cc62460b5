"""Several runs beside each other, and the figures that a run draws."""

from __future__ import annotations

import numpy as np
import pytest
from made_run import load_seed, make_run, predict_seed
from matplotlib.figure import Figure

from analysis import compare
from analysis.across import COLUMNS
from analysis.heldout.opening import run_test
from fer_tune.errors import UserError


@pytest.fixture(scope="module")
def other(tmp_path_factory, data, tested):
    """A second run that was tested on the same images."""
    made = make_run(tmp_path_factory.mktemp("other") / "second", data)
    made.refit([[0.5, 0.51]])
    run_test(made.run, load=load_seed, predict=predict_seed, device="cpu", resamples=50)
    return made


def test_a_row_per_run_and_backbone_with_what_is_known(tested, other) -> None:
    first, result = tested[0].run, tested[1]
    found = compare([first, other.path]).table
    assert list(found.columns) == list(COLUMNS)
    assert len(found) == 4
    own = found[(found["run"] == "run") & (found["backbone"] == result.backbone)].iloc[0]
    assert own["test_accuracy"] == result.accuracy.value
    assert own["test_low"] == result.accuracy.low
    assert own["refit_accuracy"] == pytest.approx(np.mean([0.6, 0.61, 0.62]))
    assert own["seeds"] == 3
    best = max(r["best_val_accuracy"] for r in first.ranked if r["backbone"] == result.backbone)
    assert own["search_accuracy"] == best
    untested = found[(found["run"] == "run") & (found["backbone"] != result.backbone)].iloc[0]
    assert np.isnan(untested["test_accuracy"])


def test_winners_on_the_same_images_are_compared_image_by_image(tested, other) -> None:
    found = compare([tested[0].run, other.run])
    [comparison] = found.comparisons
    [pair] = comparison.pairs
    assert {pair.first.split(":")[0], pair.second.split(":")[0]} == {"run", "second"}
    assert pair.difference >= 0
    assert any("same images" in note for note in found.notes)


def test_unlike_data_and_budgets_are_noted(tested, made) -> None:
    settings = made.run.settings
    dataset = settings.dataset.model_copy(update={"content_hash": "f" * 64})
    made.run.folder.write_settings(settings.model_copy(update={"dataset": dataset, "trials": 99}))
    found = compare([tested[0].run, made.run])
    assert any("different data" in note for note in found.notes)
    assert any("different budgets" in note for note in found.notes)
    assert found.comparisons == []


def test_runs_of_the_same_name_are_told_apart(tested, made) -> None:
    names = set(compare([tested[0].run, made.run]).table["run"])
    assert len(names) == 2
    assert all(name.endswith("/run") for name in names)


def test_one_run_is_no_comparison(made) -> None:
    with pytest.raises(UserError, match="two runs or more"):
        compare([made.run])


def test_a_run_draws_what_it_has(tested) -> None:
    run = tested[0].run
    backbone = run.settings.backbones[0]
    drawn = [run.plot_history(), run.plot_curves(), run.plot_budget(), run.plot_slices(backbone)]
    drawn += [run.plot_parallel(backbone), run.plot_contour("learning_rate", "augmentation", backbone)]
    drawn += [run.plot_learning(), run.plot_confusion(), run.plot_classes(), run.plot_roc(), run.plot_reliability()]
    drawn.append(compare([run, run]).plot())
    assert all(isinstance(figure, Figure) for figure in drawn)


def test_a_run_says_what_it_cannot_draw(made) -> None:
    with pytest.raises(UserError, match="name one of its backbones: cnn_residual, cnn_baseline"):
        made.run.plot_slices()
    with pytest.raises(UserError, match="fewer than 10 trials of cnn_residual"):
        made.run.plot_importance("cnn_residual")
    with pytest.raises(UserError, match=r"learning_rat: not a searched number.*'learning_rate'"):
        made.run.plot_contour("learning_rat", "augmentation", "cnn_residual")
    with pytest.raises(UserError, match="was not tested"):
        made.run.plot_confusion()
    with pytest.raises(UserError, match="no refit of any configuration has ended"):
        made.run.plot_learning()
