"""Splits that go by person: what is sampled, and how often the truth is held, by simulation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_run import guesses
from simulated_groups import (
    GAPS,
    GRID,
    Compared,
    People,
    coverage,
    coverage_of_images,
    coverage_within,
    false_differences,
    false_flips,
    gaps,
)

from analysis.report.sections.beyond import gap_sentence
from analysis.run.cards import sampled_groups
from analysis.statistics.comparing.paired import Contender, compare
from analysis.statistics.groups.gaps import group_gap
from analysis.statistics.groups.within_groups import share_interval
from analysis.statistics.scores import score
from analysis.statistics.uncertainty.sampling import MOST, Groups, Images, sampling_of

CLASSES = ["a", "b", "c"]


def by_person(people: int, each: int, seeds: int = 3, spread: float = 0.25) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return labels, probabilities and groups of people who differ much in difficulty."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, people * each)
    groups = [f"person {number}" for number in range(people) for _ in range(each)]
    ease = np.repeat(np.clip(rng.normal(0.65, spread, people), 0.05, 0.95), each)
    blocks = []
    for seed in range(seeds):
        certain = guesses(labels, 1.0, 3, seed)
        wrong = np.random.default_rng(seed).random(len(labels)) > ease
        certain[wrong] = np.roll(certain[wrong], 1, axis=1)
        blocks.append(certain)
    return labels, np.stack(blocks), groups


def test_few_people_make_wide_intervals_however_many_images() -> None:
    labels, probabilities, groups = by_person(4, 200)
    images = score(labels, probabilities, CLASSES, [1, 2, 3], resamples=100).accuracy
    people = score(labels, probabilities, CLASSES, [1, 2, 3], groups=groups, resamples=100)
    assert people.accuracy.value == images.value
    assert people.accuracy.high - people.accuracy.low > 3 * (images.high - images.low)
    assert people.groups_sampled == 4
    assert "new groups" in people.method
    assert "the 4 groups of the 800 test images" in people.method
    assert people.ensemble is not None
    assert people.ensemble.accuracy.high - people.ensemble.accuracy.low > 0.2


def test_the_interval_of_an_accuracy_by_hand() -> None:
    from scipy import stats

    labels = np.zeros(30, dtype=int)
    right = np.repeat([0.2, 0.6, 0.7], 10) > np.tile(np.arange(10), 3) / 10 + 0.05
    probabilities = np.eye(3)[np.where(right, 0, 1)][None]
    groups = list(np.repeat(["x", "y", "z"], 10))
    found = score(labels, probabilities, CLASSES, [1], groups=groups, resamples=50).accuracy
    each = [0.2, 0.6, 0.7]  # of groups of equal size the jackknife is the t interval of their means
    low, high = stats.t.interval(0.95, 2, loc=np.mean(each), scale=stats.sem(each))
    assert (found.low, found.high) == (pytest.approx(max(0, low)), pytest.approx(min(1, high)))


def test_a_class_of_one_person_tells_nothing_about_others() -> None:
    labels, probabilities, groups = by_person(4, 60)
    labels[:60] = np.random.default_rng(0).integers(0, 2, 60)
    labels[60:] = np.where(labels[60:] == 0, 1, labels[60:])  # class "a" is the first person's alone
    found = score(labels, probabilities, CLASSES, [1, 2, 3], groups=groups, resamples=100).per_class
    assert (found[0].recall.low, found[0].recall.high) == (0, 1)
    assert 0 < found[1].recall.low < found[1].recall.high < 1


def test_images_are_the_sample_where_groups_say_nothing_more() -> None:
    names = [f"image {number}" for number in range(30)]
    assert isinstance(sampling_of(None, 30), Images)
    assert isinstance(sampling_of(names, 30), Images)  # each image a group of its own
    assert isinstance(sampling_of(["one"] * 30, 30), Images)
    assert isinstance(sampling_of(["one"] * 15 + ["other"] * 15, 30), Groups)


def test_one_person_alone_is_said_to_tell_nothing_of_others() -> None:
    labels, probabilities, _ = by_person(2, 50)
    found = score(labels, probabilities, CLASSES, [1, 2, 3], groups=["one"] * 100, resamples=100)
    assert found.groups_sampled == 1
    assert "nothing is known about others" in found.method


def test_very_many_groups_are_put_together() -> None:
    groups = Groups(np.repeat(np.arange(3 * MOST), 2))
    assert (groups.names, groups.size) == (3 * MOST, MOST)
    assert np.bincount(groups.codes).tolist() == [6] * MOST
    assert sum(len(block) for block in groups.weights()) == MOST


def test_groups_of_a_random_split_are_not_sampled() -> None:
    def card(split: str) -> Any:
        return SimpleNamespace(splits={"split": split})

    assert sampled_groups(card("random"), ["a", "b"]) is None
    assert sampled_groups(card("character"), ["a", "b"]) == ["a", "b"]
    assert sampled_groups(None, ["", ""]) is None


def test_a_comparison_is_for_new_groups() -> None:
    labels, first, groups = by_person(8, 50)
    second = np.where(first == first.max(-1, keepdims=True), first, first)
    wrong = np.array(groups) == "person 0"
    second[:, wrong] = np.roll(second[:, wrong], 1, axis=2)  # all that they differ by is one person
    sides = Contender("a", "searched", first), [Contender("b", "searched", second)]
    [images] = compare(labels, *sides, resamples=400).pairs
    [people] = compare(labels, *sides, groups=groups, resamples=400).pairs
    assert images.trained.p < 0.001
    assert people.trained.p == 1  # of two signs of one person both are as far from zero
    assert people.trained.by_group
    assert people.high - people.low > images.high - images.low
    assert not people.shown
    assert "8 groups" in compare(labels, *sides, groups=groups, resamples=400).method


def test_shares_of_seeds_keep_their_fractions() -> None:
    first = np.zeros((9, 9), dtype=bool)
    second = first.copy()
    first.flat[:47], second.flat[:50] = True, True  # 58.0 and 61.7 %, both 5 of 9 when rounded
    assert share_interval(first).low < share_interval(second).low
    assert share_interval(first).high < share_interval(second).high


def test_the_worst_group_is_told_with_bounds_that_know_it_was_picked() -> None:
    labels, probabilities, groups = by_person(12, 60, spread=0.0)  # all do equally well
    equal = group_gap(labels, probabilities, groups)
    assert equal.gap > 0.05
    assert equal.gap_low == 0
    assert equal.by_chance == pytest.approx(equal.gap, abs=0.1)
    assert "no difference between groups is shown" in gap_sentence(equal)
    labels, probabilities, groups = by_person(12, 60)
    found = group_gap(labels, probabilities, groups)
    right = probabilities.argmax(-1) == labels
    each = {name: float(right[:, np.array(groups) == name].mean()) for name in set(groups)}
    assert (found.worst, found.best) == (min(each, key=each.get), max(each, key=each.get))
    assert found.gap == pytest.approx(max(each.values()) - min(each.values()))
    assert found.by_chance < found.gap_low < found.gap < found.gap_high
    assert found.low < found.accuracy < found.high
    assert f"best and worst differ by {100 * found.gap_low:.1f} to" in gap_sentence(found)


def test_a_gap_needs_two_groups_of_some_images() -> None:
    labels, probabilities, groups = by_person(12, 60)
    assert group_gap(labels, probabilities, ["one"] * len(groups)) is None
    assert group_gap(labels, probabilities, [str(number) for number in range(len(groups))]) is None
    few = [*["a"] * 9, *["b"] * 300, *["c"] * (len(groups) - 309)]
    found = group_gap(labels, probabilities, few)
    assert (found.groups, found.left_out) == (2, 1)
    assert {found.worst, found.best} == {"b", "c"}


def test_intervals_for_two_characters_hold_the_truth_and_those_for_images_do_not() -> None:
    rng = np.random.default_rng(0)
    made = People(2, 3, images=18_000)
    assert coverage_of_images(made, 2000, rng) < 0.2
    assert 0.93 <= coverage(made, 2000, rng) <= 0.975


@pytest.mark.parametrize("groups", [2, 5, 40, 200])
def test_intervals_for_groups_hold_the_truth(groups: int) -> None:
    rng = np.random.default_rng(groups)
    assert 0.93 <= coverage(People(groups), 1500, rng) <= 0.975
    assert false_differences(People(groups), 1000, rng) <= 0.065


def test_flipping_signs_keeps_its_level_and_shares_within_a_group_their_coverage() -> None:
    rng = np.random.default_rng(1)
    assert false_flips(8, 300, rng) <= 0.085  # 5 %, and 2.8 standard errors of 300
    assert coverage_within(50, 3, 0.03, 600, rng) >= 0.93


def test_bounds_of_picked_extremes_hold_the_truth() -> None:
    rng = np.random.default_rng(4)
    gap, worst, shown, _ = gaps(Compared(8, 30, uneven=0.6), 150, rng)
    assert min(gap, worst) >= 0.91  # 95 %, less 2.3 standard errors of 150
    assert shown <= 0.09  # none is there
    _, _, shown, flattered = gaps(Compared(8, 200, people=0.1), 30, rng)
    assert shown > 0.7
    assert flattered > 0


@pytest.mark.slow
def test_bounds_of_picked_extremes_hold_the_truth_of_every_kind_of_groups() -> None:
    rng = np.random.default_rng(6)
    for made in GAPS:
        count = 200 if made.groups < 100 else 50  # of 200 groups and 6,000 images each takes longer
        gap, worst, shown, _ = gaps(made, count, rng)
        least = 0.95 - 3 * (0.95 * 0.05 / count) ** 0.5  # three standard errors
        assert min(gap, worst) >= least, made
        assert made.people > 0 or shown <= 1 - least, made


@pytest.mark.slow
def test_intervals_for_groups_hold_the_truth_of_every_kind_of_groups() -> None:
    rng = np.random.default_rng(5)
    for made in GRID:
        assert 0.925 <= coverage(made, 4000, rng) <= 0.99, made
