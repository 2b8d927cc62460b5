"""What mattered: importance, the searched settings as axes, what early stopping saved."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.refits.plan import plan_refits
from analysis.trials.axes import SearchAxis, points, search_axes
from analysis.trials.budget import regret_sentence, savings, savings_sentences
from analysis.trials.early_judgement import rank_agreement
from analysis.trials.importance import FEWEST, importances, untold
from fer_tune.filing.files import write_json
from fer_tune.filing.tables import write_table
from fer_tune.run_folder import EPOCH_COLUMNS, TRIAL_COLUMNS

SPACE = {
    "learning_rate": {"log_uniform": [1e-4, 1e-1]},
    "drop_rate": {"uniform": [0.0, 0.5]},
    "freeze_depth": {"integer": [0, 4]},
    "optimizer": {"choice": ["adam", "sgd"]},
}


def search(made, count: int, accuracy, seed: int = 0, origin: str = "random", **of_search) -> None:
    """Write ``count`` trials of one backbone, drawn at random, whose accuracy is a function of their settings."""
    rng = np.random.default_rng(seed)
    rows, history = [], []
    for number in range(count):
        settings = {
            "learning_rate": float(10 ** rng.uniform(-4, -1)),
            "drop_rate": float(rng.uniform(0, 0.5)),
            "freeze_depth": int(rng.integers(0, 5)),
            "optimizer": str(rng.choice(["adam", "sgd"])),
        }
        row = {"trial_id": f"t{number:04d}", "backbone": "cnn_residual", "origin": origin, "status": "completed"}
        row |= {"epochs": 9, "seconds": 18.0, "val_accuracy": float(accuracy(settings, rng))}
        rows.append(row | {f"config.{name}": value for name, value in settings.items()})
        own = {"trial_id": row["trial_id"], "backbone": "cnn_residual"}
        early = float(accuracy({**settings, "learning_rate": 10**-2.5}, rng))  # at first the rate does nothing
        history += [own | {"epoch": epoch, "val_accuracy": early} for epoch in (1, 2)]
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    write_table(history, EPOCH_COLUMNS, made.path / "epochs.parquet")
    spaces = {"cnn_residual": {"backbone": "cnn_residual", "search": SPACE}}
    given = {"spaces": spaces, "backbones": ["cnn_residual"], "published": {}, "grace_period": 2, **of_search}
    made.run.folder.write_settings(made.run.settings.model_copy(update=given))


def peaked(settings, rng) -> float:
    return 0.6 - 0.1 * (np.log10(settings["learning_rate"]) + 2.5) ** 2 + rng.normal(0, 0.005)


def test_the_setting_that_decides_is_found_and_the_others_are_not_shown(made) -> None:
    search(made, 60, peaked)
    found = importances(made.run, "cnn_residual")
    first, *others = found.settings
    assert first.name == "learning_rate"
    assert first.shown
    assert first.share > 0.8  # a parabola, best in between
    assert 0 < first.low <= first.share <= first.high <= 1
    assert not any(each.shown or each.low for each in others)
    assert (found.trials, found.epoch, found.whole) == (60, 9, True)
    assert "learning_rate matters for the validation accuracy after 9 epochs (60 trials" in found.sentence()
    assert "drop_rate" not in found.sentence()


def test_a_choice_that_decides_is_found(made) -> None:
    search(made, 30, lambda settings, rng: 0.5 + 0.02 * (settings["optimizer"] == "sgd") + rng.normal(0, 0.005))
    assert [each.name for each in importances(made.run, "cnn_residual").settings if each.shown] == ["optimizer"]


def test_noise_shows_no_setting_to_matter_and_the_report_says_what_that_means(made) -> None:
    search(made, 40, lambda settings, rng: rng.uniform(0.3, 0.6))
    found = importances(made.run, "cnn_residual")
    assert not any(each.shown for each in found.settings)
    assert found.sentence().startswith("No setting is shown to matter")
    assert "does not mean that none does" in found.sentence()


def test_the_same_run_gives_the_same_importances(made) -> None:
    search(made, 20, peaked)
    assert importances(made.run, "cnn_residual") == importances(made.run, "cnn_residual")


def test_too_few_random_trials_say_nothing(made) -> None:
    search(made, FEWEST - 1, peaked)
    assert importances(made.run, "cnn_residual") is None


def test_trials_that_a_sampler_chose_say_nothing(made) -> None:
    search(made, 60, peaked, origin="searched")
    assert importances(made.run, "cnn_residual") is None
    assert "--random-share 0.3; 20" in untold(made.run)


def test_random_sampling_under_early_stopping_tells_what_matters_where_all_came(made) -> None:
    search(made, 60, peaked, origin="searched", sampler="random")
    found = importances(made.run, "cnn_residual")
    assert (found.epoch, found.whole) == (2, False)
    assert not any(each.shown for each in found.settings)  # by then the rate does nothing
    search(made, 60, peaked, origin="searched", sampler="random", scheduler="none")
    found = importances(made.run, "cnn_residual")
    assert (found.epoch, found.whole) == (9, True)
    assert [each.name for each in found.settings if each.shown] == ["learning_rate"]


def test_more_backbones_share_the_number_of_false_claims(made) -> None:
    def weak(settings, rng) -> float:
        return 0.6 - 0.036 * (settings["drop_rate"] - 0.25) + rng.normal(0, 0.01)

    search(made, 30, weak)
    [alone] = [each for each in importances(made.run, "cnn_residual").settings if each.name == "drop_rate"]
    search(made, 30, weak, backbones=["cnn_residual", *(f"other{number}" for number in range(40))])
    [beside] = [each for each in importances(made.run, "cnn_residual").settings if each.name == "drop_rate"]
    assert alone.p == beside.p
    assert alone.shown
    assert not beside.shown
    assert beside.high - beside.low > alone.high - alone.low


def test_axes_come_from_the_search_space(made) -> None:
    search(made, 3, peaked)
    axes = {axis.name: axis for axis in search_axes(made.run, "cnn_residual")}
    assert axes["learning_rate"].place(1e-4) == 0
    assert axes["learning_rate"].place(10**-2.5) == pytest.approx(0.5)
    assert axes["freeze_depth"].place(4) == 1
    assert axes["optimizer"].ticks() == [(0.0, "adam"), (1.0, "sgd")]
    assert axes["drop_rate"].holds(0.5)
    assert not axes["drop_rate"].holds(0.6)
    assert not axes["optimizer"].holds("lion")
    assert not axes["learning_rate"].holds(None)


def test_without_a_space_on_record_the_trials_tell_the_axes(made) -> None:
    axes = {axis.name: axis for axis in search_axes(made.run, "cnn_residual")}
    assert set(axes) == {"learning_rate", "augmentation"}
    assert axes["learning_rate"].log
    assert not axes["augmentation"].log
    own = [point.settings["augmentation"] for point in points(made.run, "cnn_residual")]
    assert (axes["augmentation"].low, axes["augmentation"].high) == (min(own), max(own))


def test_one_value_lies_in_the_middle() -> None:
    assert SearchAxis("a", 2, 2).place(2) == 0.5


def test_what_early_stopping_saved(made) -> None:
    rows = [
        {"trial_id": "a", "status": "completed", "epochs": 9, "seconds": 18.0, "val_accuracy": 0.6},
        {"trial_id": "b", "status": "stopped", "epochs": 3, "seconds": 6.0, "val_accuracy": 0.4},
        {"trial_id": "c", "status": "stopped", "epochs": 1, "seconds": 3.0, "val_accuracy": 0.3},
        {"trial_id": "d", "status": "failed", "epochs": 5, "seconds": 3.0},
    ]
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    found = savings(made.run)
    assert (found.stopped, found.ended, found.epochs, found.epochs_without) == (2, 3, 13, 27)
    assert found.share == pytest.approx(14 / 27)
    assert found.seconds_saved == pytest.approx(6 * 2 + 8 * 3)
    assert "saved 52 % of the epochs" in savings_sentences(made.run)[0]


def test_what_early_stopping_saved_of_trials_with_more_epochs_after_a_resume(made) -> None:
    rows = [
        {"trial_id": "a", "status": "stopped", "epochs": 3, "seconds": 6.0, "config.epochs": 9},
        {"trial_id": "b", "status": "stopped", "epochs": 1, "seconds": 3.0, "config.epochs": 12},
    ]
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    assert savings(made.run).epochs_without == 9 + 12


def write_curves(
    made,
    curves: dict[str, list[float]],
    backbones: dict[str, str] | None = None,
    origins: dict[str, str] | None = None,
    **settings,
) -> None:
    """Write trials with these validation accuracies per epoch; those that are shorter than the longest were stopped."""
    longest = max(map(len, curves.values()))
    rows, history = [], []
    for name, values in curves.items():
        backbone = (backbones or {}).get(name, "cnn_residual")
        status = "completed" if len(values) == longest else "stopped"
        row = {"trial_id": name, "backbone": backbone, "status": status, "epochs": len(values)}
        row["origin"] = (origins or {}).get(name, "searched")
        rows.append(row | {"seconds": 2.0 * len(values), "val_accuracy": max(values)})
        own = {"trial_id": name, "backbone": backbone}
        history += [own | {"epoch": epoch, "val_accuracy": value} for epoch, value in enumerate(values, start=1)]
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    write_table(history, EPOCH_COLUMNS, made.path / "epochs.parquet")
    made.run.folder.write_settings(made.run.settings.model_copy(update={"epochs": longest, **settings}))


def early(rank: float, count: int = 24, seed: int = 0) -> dict[str, list[float]]:
    """Return curves whose first epochs rank the trials as their end does, the more so the nearer ``rank`` is to 1."""
    rng = np.random.default_rng(seed)
    end = rng.permutation(count)
    first = np.argsort(np.argsort(rank * end + (1 - rank) * rng.permutation(count)))
    curves = zip(end, first, strict=True)
    return {f"t{n}": [0.1 + f / 200] * 2 + [0.6 + e / 200] * 7 for n, (e, f) in enumerate(curves)}


def test_early_ranking_is_told_with_intervals_from_trials_that_nothing_chose(made) -> None:
    curves = early(0.8)
    write_curves(made, curves | {"cut": [0.2]}, origins=dict.fromkeys(curves, "random"))
    first, second = rank_agreement(made.run)
    assert (first.epoch, first.trials, first.best) == (1, 24, 8)
    table = np.array(list(curves.values()))
    assert first.spearman.estimate == pytest.approx(stats.spearmanr(table[:, 0], table[:, -1]).statistic)
    assert -1 < first.spearman.low < first.spearman.estimate < first.spearman.high < 1
    missed = set(np.argsort(-table[:, -1])[:8]) - set(np.argsort(-table[:, 0])[:8])
    assert first.lost.estimate == len(missed) / 8
    assert 0 < first.lost.low < first.lost.estimate < first.lost.high
    assert second.spearman.estimate == pytest.approx(1, abs=1e-3)
    assert second.lost.estimate == 0
    text = " ".join(savings_sentences(made.run))
    assert "It was ASHA, after 1 and 3 epochs: about the best 1/3 of a backbone's trials go on." in text
    assert "Of cnn_residual, 24 trials were drawn at random and never stopped" in text
    bounds = f"{first.spearman.low:.2f} to {first.spearman.high:.2f}"
    assert f"rank correlation of {first.spearman.estimate:.2f} after 1 epoch (95 % interval {bounds})" in text
    assert f"Of the 8 that ended in the best 1/3 {len(missed)} were not in it after 1 epoch (" in text


@pytest.mark.parametrize(("count", "origin"), [(19, "random"), (24, "searched")])
def test_of_few_trials_or_survivors_of_early_stopping_nothing_is_said(made, count: int, origin: str) -> None:
    curves = early(0.8, count)
    write_curves(made, curves | {"cut": [0.2]}, origins=dict.fromkeys(curves, origin))
    assert rank_agreement(made.run) == []
    assert not any("rank correlation" in line or "ended in the best" in line for line in savings_sentences(made.run))


def test_a_share_of_few_is_not_told(made) -> None:
    curves = early(0.8)
    write_curves(made, curves | {"cut": [0.2]}, origins=dict.fromkeys(curves, "random"), reduction_factor=9)
    text = " ".join(savings_sentences(made.run))
    assert "rank correlation" in text
    assert "ended in the best" not in text  # it would be 2 of 24


def test_trials_are_ranked_among_those_of_their_backbone(made) -> None:
    few = {f"few{index}": [0.5] * 3 for index in range(19)}
    low = {f"low{index}": [0.1 - index / 1000, 0.2, 0.2 + index / 1000] for index in range(20)}
    high = {f"high{index}": [0.8 - index / 1000, 0.8, 0.9 + index / 1000] for index in range(20)}
    backbones = {name: name.rstrip("0123456789") for name in (*few, *low, *high)}
    write_curves(made, few | low | high, backbones, dict.fromkeys(backbones, "random"), reduction_factor=2)
    found = rank_agreement(made.run)
    assert {row.backbone for row in found} == {"low", "high"}
    assert all(row.spearman.estimate < -0.99 for row in found if row.epoch == 1)  # over both it would be positive
    assert all(row.lost.estimate == 1 for row in found if row.epoch == 1)


def test_brackets_are_told_of(made) -> None:
    write_curves(made, early(0.8) | {"cut": [0.2]}, brackets=2)
    text = " ".join(savings_sentences(made.run))
    assert "2 brackets, the later of which begin to judge at a later one of these epochs" in text


def test_the_median_rule_judges_at_every_epoch_from_the_grace_period_on(made) -> None:
    curves = {f"t{index}": [0.0] + [0.9 - index / 50] * 5 for index in range(1, 23)}
    curves |= {"slow": [0.3] * 3 + [0.95] * 3}  # it was below the median at first, and ended as the best
    write_curves(
        made, curves | {"cut": [0.2]}, None, dict.fromkeys(curves, "random"), scheduler="median", grace_period=2
    )
    found = rank_agreement(made.run)
    assert [row.epoch for row in found] == [2, 3, 4, 5]
    assert {(row.trials, row.best) for row in found} == {(23, 11)}
    assert {round(row.lost.estimate * 11) for row in found} == {1}
    text = " ".join(savings_sentences(made.run))
    assert "the median rule, at each epoch from the 2nd on" in text
    assert "Of the 11 that ended in the better half 1 would have been ended by the rule at one of these epochs" in text
    assert "1/3" not in text
    assert "ASHA" not in text


def test_a_search_that_stops_no_trial_is_said_to_have_stopped_none(made) -> None:
    write_curves(made, early(0.8), scheduler="none")
    assert rank_agreement(made.run) == []
    [sentence] = savings_sentences(made.run)
    assert "asked not to stop poor trials early" in sentence


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.71, 0.69], "is 10.0 points of validation accuracy better"),
        ([0.51, 0.49], "stays 10.0 points of validation accuracy behind"),
        ([0.64, 0.56], "is not shown to be better or worse"),
    ],
)
def test_regret_is_told_from_stopped_trials_that_were_refitted(made, values: list[float], words: str) -> None:
    stopped_and_whole(made)
    assert regret_sentence(made.run) == ""
    plan = plan_refits(made.run, top=1, seeds=2, published=False)
    write_json(plan, made.run.folder.refit_file)
    for seed, value in zip(plan.seeds, (0.59, 0.61), strict=True):
        made.fake.refit(made.run.folder, plan.configs[0].config_id, seed, value)
    assert "--stopped" in savings_sentences(made.run)[-1]
    plan = plan_refits(made.run, published=False, stopped=1)
    write_json(plan, made.run.folder.refit_file)
    for seed, value in zip(plan.seeds, values, strict=True):
        made.fake.refit(made.run.folder, plan.configs[1].config_id, seed, value)
    told = savings_sentences(made.run)[-1]
    assert words in told
    assert "95 % interval of the difference " in told


def test_regret_without_an_interval_is_not_told(made) -> None:
    stopped_and_whole(made)
    write_json(plan := plan_refits(made.run, top=1, seeds=1, published=False, stopped=1), made.run.folder.refit_file)
    for config in plan.configs:
        made.fake.refit(made.run.folder, config.config_id, plan.seeds[0], 0.6)
    assert regret_sentence(made.run) == ""


def stopped_and_whole(made) -> None:
    rows = []
    for name, status, accuracy, rate in (("a", "completed", 0.6, 0.1), ("b", "stopped", 0.4, 0.2)):
        row = {"trial_id": name, "backbone": "cnn_residual", "origin": "searched", "status": status, "epochs": 3}
        row |= {"val_accuracy": accuracy, "config.backbone": "cnn_residual", "config.epochs": 9}
        row["config.learning_rate"] = rate
        rows.append(row)
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")


def test_a_search_without_early_stopping_says_so(made) -> None:
    rows = [{"trial_id": "a", "status": "completed", "epochs": 9, "seconds": 18.0, "val_accuracy": 0.6}]
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    assert savings_sentences(made.run) == ["No trial was stopped early."]
