"""How models are used together: which way validation chooses, and that the choice does not run after its own luck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_combining import SEEDS, WORLDS, covered, outcome

from analysis.combining.averaging import averaged
from analysis.combining.choosing import Library, choose
from analysis.combining.gain import gain
from analysis.combining.greedy import greedy_shares
from analysis.combining.judging import Judge
from fer_tune.objectives import ACCURACY, OBJECTIVES

SEED_ROWS = list(range(SEEDS))


def library(world: int, images: int = 300, seed: int = 0) -> Library:
    labels, predicted = WORLDS[world].draw(images, np.random.default_rng(seed))
    return Library(labels, predicted, SEED_ROWS, {})


def test_greedy_shares_leave_poor_models_out_and_beat_the_best_one() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    poor = rng.dirichlet(np.ones(3), (2, 400))
    good = np.stack([np.eye(3)[labels] * 0.5 + rng.dirichlet(np.ones(3), 400) for _ in range(3)])
    models = np.concatenate([poor, good])
    judge = Judge(ACCURACY, labels, None)
    shares = greedy_shares(models, judge)
    assert shares.sum() == pytest.approx(1)
    assert shares[:2].max() == 0
    assert judge.values(np.tensordot(shares, models, 1)[None])[0] > judge.values(models).max()


@pytest.mark.parametrize("column", ["val_accuracy", "val_balanced_accuracy", "val_macro_f1", "val_loss"])
def test_each_aim_is_judged_as_scikit_learn_does(column: str) -> None:
    from sklearn import metrics as sk

    found = library(1)
    block = found.predicted["none"][:2].astype(float)
    block /= block.sum(-1, keepdims=True)
    predicted = block.argmax(-1)
    judge = Judge(OBJECTIVES[column], found.labels, None)
    functions = {
        "val_accuracy": lambda n: sk.accuracy_score(found.labels, predicted[n]),
        "val_balanced_accuracy": lambda n: sk.balanced_accuracy_score(found.labels, predicted[n]),
        "val_macro_f1": lambda n: sk.f1_score(found.labels, predicted[n], average="macro"),
        "val_loss": lambda n: -sk.log_loss(found.labels, block[n], labels=range(7)),
    }
    assert judge.values(block) == pytest.approx([functions[column](n) for n in range(2)], abs=1e-6)
    assert judge.resampled(block).mean(0) == pytest.approx(judge.values(block), abs=0.01)


def test_the_margin_is_the_standard_error_of_a_paired_difference() -> None:
    found = library(0, 500)
    judge = Judge(ACCURACY, found.labels, None)
    first, second = found.predicted["none"][:1], found.predicted["none"][1:2]
    right = (first.argmax(-1) == found.labels).astype(float) - (second.argmax(-1) == found.labels)
    difference = judge.resampled(first).mean(1) - judge.resampled(second).mean(1)
    assert judge.margin(right.mean(), difference) == pytest.approx(right.std(ddof=1) / np.sqrt(500), rel=0.02)


def test_people_are_kept_whole_and_make_the_margin_wider() -> None:
    found = library(0, 400)
    people = [str(number // 40) for number in range(400)]
    alike = np.repeat(np.arange(10), 40)  # the seeds are right on whole people
    right = np.eye(7)[found.labels]
    wrong = np.eye(7)[(found.labels + 1) % 7]
    block = np.stack([np.where((alike % 2 == seed)[:, None], right, wrong) for seed in (0, 1, 1)])
    one = Judge(ACCURACY, found.labels, None)
    each = Judge(ACCURACY, found.labels, people)
    margins = [
        judge.margin(0.0, judge.resampled(block[:1]).mean(1) - judge.resampled(block[1:2]).mean(1))
        for judge in (one, each)
    ]
    assert margins[1] > 4 * margins[0]


def test_where_averaging_helps_the_cheapest_of_the_best_is_chosen() -> None:
    found = choose(library(0), ACCURACY)
    assert [way.passes for way in found.ways] == sorted(way.passes for way in found.ways)
    assert [(way.kind, way.views) for way in found.ways][:2] == [("single", "none"), ("single", "flip")]
    chosen = found.ways[found.chosen]
    best = max(found.ways, key=lambda way: way.value)
    assert chosen.kind in ("ensemble", "greedy")
    assert chosen.gain > 2 * chosen.margin
    assert best.value - chosen.value <= best.margin
    assert 0 < found.gain < max(way.gain for way in found.ways) + found.margin
    assert choose(library(0), ACCURACY).chosen == found.chosen  # the same parts each time


def test_models_that_are_all_alike_leave_the_single_one() -> None:
    found = library(0)
    alike = {views: np.repeat(found.predicted["none"][:1], SEEDS, axis=0) for views in ("none", "flip")}
    chosen = choose(Library(found.labels, alike, SEED_ROWS, {}), ACCURACY)
    assert chosen.chosen == 0
    assert (chosen.gain, chosen.margin) == (0, 0)


def test_averaged_weights_that_do_what_the_ensemble_does_are_chosen_as_they_cost_one_pass() -> None:
    found = library(0)
    joint = {"none": found.predicted["none"].mean(0)}
    one = replace(found, predicted={"none": found.predicted["none"]}, averaged=joint)
    chosen = choose(one, ACCURACY)
    assert (chosen.ways[chosen.chosen].kind, chosen.ways[chosen.chosen].passes) == ("soup", 1)


def test_a_greedy_ensemble_is_judged_by_images_that_its_shares_were_not_fitted_to() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    noise = rng.dirichlet(np.ones(2), (40, 60)).astype(np.float32)  # no model knows anything
    found = choose(Library(labels, {"none": noise}, [0, 1], {}), ACCURACY)
    greedy = next(way for way in found.ways if way.kind == "greedy")
    fitted = (np.tensordot(greedy.shares, noise, 1).argmax(-1) == labels).mean()
    assert fitted > 0.8  # what it was fitted to flatters it
    assert greedy.value < 0.7


def test_a_single_group_or_image_leaves_the_single_model() -> None:
    found = library(0, 40)
    one = choose(replace(found, groups=["ann"] * 40), ACCURACY)
    assert len(one.ways) == 6  # images count where all are of one person
    alone = choose(found.part(np.arange(40) == 3), ACCURACY)
    assert (alone.chosen, alone.gain) == (0, 0)


def test_the_gain_of_mirror_images_pairs_the_seeds() -> None:
    labels, predicted = WORLDS[0].draw(1500, np.random.default_rng(3))
    single, flipped = predicted["none"][:SEEDS], predicted["flip"][:SEEDS]
    told = gain(ACCURACY, labels, flipped, single, resamples=400)
    right = (flipped.argmax(-1) == labels).mean() - (single.argmax(-1) == labels).mean()
    assert told.value == pytest.approx(right)
    assert told.low < told.value < told.high
    more = gain(ACCURACY, labels, flipped, single, comparisons=5, resamples=400)
    assert more.low <= told.low < told.high <= more.high
    assert gain(ACCURACY, labels, single, single, resamples=100).shown is False


def test_weights_are_averaged_and_counters_are_kept() -> None:
    import torch

    found = averaged(
        [{"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(4)}, {"w": torch.ones(2), "n": torch.tensor(6)}]
    )
    assert found["w"].tolist() == [0.5, 1.5]
    assert found["n"].item() == 4


@pytest.mark.parametrize("kind", ["ensemble", "flip"])
def test_the_interval_of_a_gain_holds_it(kind: str) -> None:
    assert covered(kind, 400, 80, np.random.default_rng(5)) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_choosing_does_not_lose(world) -> None:
    found = outcome(world, 40, np.random.default_rng(2))
    assert found.gained >= -0.001
    assert found.held >= 0.85  # of 40; the test of the interval above is closer
    assert found.claimed <= 0.03
    assert found.nested == pytest.approx(found.gained, abs=0.006)
