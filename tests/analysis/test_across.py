"""Several runs beside each other, and the figures that a run draws."""

from __future__ import annotations

import numpy as np
import pytest
from made_run import load_seed, make_run, predict_seed
from matplotlib.figure import Figure

from analysis import compare
from analysis.across import COLUMNS
from analysis.heldout.opening import run_test
from analysis.refits.plan import config_id
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json


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
    assert own["config"] == result.config_id
    other_own = found[(found["run"] == "run") & (found["backbone"] != result.backbone)].iloc[0]
    beside = {
        test.config_id: test.accuracy.value for test in first.tests
    }  # the published one, tested beside the winner
    assert other_own["config"] != result.config_id
    assert other_own["test_accuracy"] == beside[other_own["config"]]


def test_every_column_of_a_row_is_of_one_configuration(made, models, data, other) -> None:
    """The best of the search comes second in the refits, and is not what is tested."""
    plan = made.refit([[0.5, 0.51, 0.5], [0.6, 0.61, 0.62]])
    second = plan.configs[1]
    run = made.run
    best = next(row for row in run.ranked if row["backbone"] == second.backbone)
    assert best["val_accuracy"] > second.search_value  # else the test would see nothing

    def row(backbone: str) -> dict[str, object]:
        table = compare([made.run, other.path]).table
        return table[table["backbone"] == backbone].iloc[0].to_dict()

    for test in (False, True):
        if test:
            run_test(made.run, **models)
        own = row(second.backbone)
        assert own["config"] == second.config_id
        assert own["search_accuracy"] == second.search_value
        assert own["refit_accuracy"] == pytest.approx(0.61)
        assert np.isnan(own["test_accuracy"]) == (not test)

    plan.seeds.append(max(plan.seeds) + 1)  # planned and not there yet, as with an interrupted `fer-tune refit`
    write_json(plan, run.folder.refit_file)
    assert row(second.backbone)["config"] == second.config_id


def test_a_backbone_that_only_the_search_knows_shows_its_best_there(made, other) -> None:
    made.refit([[0.5, 0.51, 0.5]])
    run = made.run
    (refitted,) = run.refits
    searched = next(name for name in run.settings.backbones if name != refitted.config.backbone)
    table = compare([run, other.path]).table
    own = table[table["backbone"] == searched].iloc[0]
    best = next(row for row in run.ranked if row["backbone"] == searched)
    assert (own["config"], own["search_accuracy"]) == (config_id(best["config"]), best["val_accuracy"])
    assert np.isnan(own["refit_accuracy"])


def test_winners_on_the_same_images_are_compared_image_by_image(tested, other) -> None:
    found = compare([tested[0].run, other.run])
    [comparison] = found.comparisons
    [pair] = comparison.pairs
    assert {pair.first.split(":")[0], pair.second.split(":")[0]} == {"run", "second"}
    assert pair.difference >= 0
    assert any("same images" in note for note in found.notes)


def test_a_prompt_is_shown_the_accuracies_and_what_is_said_of_them(tested, other) -> None:
    found = compare([tested[0].run, other.path])
    shown = repr(found)
    assert len(shown.splitlines()) < 20
    assert f"{tested[1].accuracy.value:.3f}" in shown
    assert all(pair.words in shown for comparison in found.comparisons for pair in comparison.pairs)
    assert all(note in shown for note in found.notes)


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


def test_a_run_is_not_compared_with_itself(made) -> None:
    with pytest.raises(UserError, match="run: named twice"):
        compare([made.run, made.path])


def test_one_run_is_no_comparison(made) -> None:
    with pytest.raises(UserError, match="two runs or more"):
        compare([made.run])


def test_a_run_draws_what_it_has(tested, other, monkeypatch) -> None:
    monkeypatch.setattr("analysis.figures.plots.FEWEST_OF_SURFACE", 7)  # that is how many ran all epochs
    run = tested[0].run
    backbone = run.settings.backbones[0]
    drawn = [run.plot_history(), run.plot_curves(), run.plot_budget(), run.plot_slices(backbone)]
    drawn += [run.plot_parallel(backbone), run.plot_contour("learning_rate", "augmentation", backbone)]
    drawn += [run.plot_learning(), run.plot_confusion(), run.plot_classes(), run.plot_roc(), run.plot_reliability()]
    drawn.append(compare([run, other.path]).plot())
    assert all(isinstance(figure, Figure) for figure in drawn)


def test_a_run_says_what_it_cannot_draw(made) -> None:
    with pytest.raises(UserError, match="name one of its backbones: cnn_residual, cnn_baseline"):
        made.run.plot_slices()
    with pytest.raises(UserError, match=r"fewer than 20 random trials of cnn_residual.*--random-share"):
        made.run.plot_importance("cnn_residual")
    with pytest.raises(UserError, match=r"learning_rat: not a searched number.*'learning_rate'"):
        made.run.plot_contour("learning_rat", "augmentation", "cnn_residual")
    with pytest.raises(UserError, match=r"\d trials with both ran all epochs; 12 make a surface"):
        made.run.plot_contour("learning_rate", "augmentation", "cnn_residual")
    with pytest.raises(UserError, match="was not tested"):
        made.run.plot_confusion()
    with pytest.raises(UserError, match="no refit of any configuration has ended"):
        made.run.plot_learning()
