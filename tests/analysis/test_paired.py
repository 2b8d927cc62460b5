"""Two configurations on the same images: the comparison against other libraries, and its errors by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from fake_run import guesses
from scipy import stats
from simulated_families import false_families
from simulated_images import IMAGES, experiments

from analysis.statistics import metrics
from analysis.statistics.comparing.paired import Contender, compare, corrected, flipped, mcnemar
from analysis.statistics.uncertainty.sampling import Images


def contender(labels: np.ndarray, accuracy: float, first_seed: int, seeds: int = 3, name: str = "a") -> Contender:
    each = [guesses(labels, accuracy, 7, seed) for seed in range(first_seed, first_seed + seeds)]
    return Contender(name, "searched" if name == "a" else f"paper/{name}", np.stack(each))


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 7, 700)


def test_mcnemar_is_the_binomial_test_of_what_only_one_has_right() -> None:
    labels = np.zeros(40, dtype=int)
    first, second = np.zeros(40, dtype=int), np.zeros(40, dtype=int)
    first[:3], second[3:15] = 1, 1
    only_first, only_second, p = mcnemar(labels, first, second)
    assert (only_first, only_second) == (12, 3)
    assert p == pytest.approx(stats.binomtest(3, 15).pvalue)
    assert mcnemar(labels, first, first) == (0, 0, 1.0)


def test_signs_of_groups_are_flipped_by_hand() -> None:
    labels = np.zeros(40, dtype=int)
    groups = np.repeat(np.arange(8), 5)
    first, second = np.zeros(40, dtype=int), np.ones(40, dtype=int)
    assert flipped(labels, first, second, groups) == pytest.approx(2 / 2**8)  # better in all eight: two of 256 signs
    assert flipped(labels[:25], first[:25], second[:25], groups[:25]) == pytest.approx(
        2 / 2**5
    )  # never shown with five
    assert flipped(labels, first, first, groups) == 1
    first[groups == 0], second[groups == 0] = 1, 0  # worse in one, better by as much in seven
    assert flipped(labels, first, second, groups) == pytest.approx(2 * (1 + 8) / 2**8)


def test_a_clear_difference_is_shown_with_its_size(labels: np.ndarray) -> None:
    winner, other = contender(labels, 0.7, 1), contender(labels, 0.55, 11, name="b")
    [pair] = compare(labels, winner, [other], resamples=500).pairs
    expected = (winner.probabilities.argmax(-1) == labels).mean() - (other.probabilities.argmax(-1) == labels).mean()
    assert pair.difference == pytest.approx(expected)
    assert pair.low < expected < pair.high
    assert pair.low > 0
    assert pair.shown
    assert pair.p < 0.01
    assert "points more accurate" in pair.words
    assert "no difference" not in pair.words


def test_no_difference_is_said_in_words(labels: np.ndarray) -> None:
    [pair] = compare(labels, contender(labels, 0.6, 1), [contender(labels, 0.6, 21, name="b")], resamples=500).pairs
    assert not pair.shown
    assert pair.low < 0 < pair.high
    assert pair.words.startswith("no difference shown: ")
    assert pair.p > 0.05


def test_several_comparisons_are_corrected(labels: np.ndarray) -> None:
    others = [contender(labels, 0.58, 10 * n, name=f"b{n}") for n in (1, 2, 3)]
    found = compare(labels, contender(labels, 0.6, 1), others, resamples=500)
    assert "3 comparisons" in found.method
    winner = contender(labels, 0.6, 1)
    for pair, other in zip(found.pairs, others, strict=True):
        [alone] = compare(labels, winner, [other], resamples=500).pairs
        assert pair.trained.p == corrected(alone.trained.p, 3)
        assert pair.low < alone.low < alone.high < pair.high  # intervals are corrected with their p values
        assert pair.macro_f1_low < alone.macro_f1_low < alone.macro_f1_high < pair.macro_f1_high
    more = compare(labels, winner, others, comparisons=6, resamples=500)  # chosen on these images: any pair of four
    assert "Bonferroni). The tests" in more.method
    for pair, other in zip(found.pairs, more.pairs, strict=True):
        assert other.low < pair.low < pair.high < other.high
        assert other.p >= pair.p


def test_the_family_of_accuracy_and_macro_f1_keeps_its_level() -> None:
    assert false_families(3, 3, 60, np.random.default_rng(11)) <= 0.13  # 60 experiments: 3 standard errors above 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("rivals", "seeds"), [(1, 3), (3, 3), (5, 2), (3, 5)])
def test_the_family_of_accuracy_and_macro_f1_keeps_its_level_closely(rivals: int, seeds: int) -> None:
    assert false_families(rivals, seeds, 1000, np.random.default_rng(rivals)) <= 0.065


def test_mcnemar_is_of_the_ensembles(labels: np.ndarray) -> None:
    winner, other = contender(labels, 0.7, 1), contender(labels, 0.6, 11, name="b")
    [pair] = compare(labels, winner, [other], resamples=100).pairs
    joint = [each.probabilities.mean(0).argmax(-1) for each in (winner, other)]
    assert (pair.trained.only_first, pair.trained.only_second, pair.trained.p) == mcnemar(labels, *joint)


def test_configurations_with_unlike_numbers_of_seeds_compare(labels: np.ndarray) -> None:
    [pair] = compare(labels, contender(labels, 0.6, 1, seeds=4), [contender(labels, 0.6, 9, seeds=1)]).pairs
    assert pair.seeds == (4, 1)


def test_the_same_configuration_twice_does_not_differ() -> None:
    rng = np.random.default_rng(0)
    observed = rng.random((1, 2))
    resampled = rng.random((50, 1, 2))
    found = Images(50).difference((observed, resampled), (observed, resampled))
    assert (found.value == 0).all()
    assert (found.p() == 1).all()


@pytest.mark.parametrize(
    "configurations", [[(3, 0.02), (3, 0.02)], [(5, 0.03), (5, 0.03)], [(5, 0.05), (3, 0.01)]], ids=str
)
def test_false_positives_stay_at_their_level(configurations: list[tuple[int, float]]) -> None:
    rng = np.random.default_rng(7)
    p, held = [], []
    for first, second in experiments(900, configurations, rng):
        found = Images(IMAGES, rng_seed=len(p)).difference(first, second)
        low, high = found.interval()
        p += list(found.p())
        held += list((low <= 0) & (high >= 0))
        assert ((np.array(found.p()) < 0.05) == ((low > 0) | (high < 0))).all()  # no interval contradicts its p value
    # 5 %, within 3 standard errors of 900 experiments; fewer where the seeds hardly differ
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.07
    assert 0.93 <= np.mean(held) <= 0.99


def test_the_family_of_comparisons_keeps_its_level() -> None:
    rng = np.random.default_rng(8)
    p = []
    for batch in experiments(900, [(3, 0.02)] * 4, rng):
        p.append([Images(IMAGES, rng_seed=len(p)).difference(batch[0], other).p() for other in batch[1:]])
    family = np.concatenate(p, axis=1).T  # an experiment per row, a comparison per column
    naive = (family < 0.05).any(axis=1).mean()
    together = (3 * family < 0.05).any(axis=1).mean()
    assert together <= 0.065
    assert naive > together


def test_a_true_difference_is_found() -> None:
    rng = np.random.default_rng(9)
    [[first, second]] = experiments(100, [(5, 0.01), (5, 0.01)], rng)
    better = (first[0] + 0.1, first[1] + 0.1)
    found = Images(IMAGES).difference(better, second)
    assert np.mean(found.p() < 0.05) > 0.8


def test_macro_f1_has_its_own_difference(labels: np.ndarray) -> None:
    winner, other = contender(labels, 0.7, 1), contender(labels, 0.6, 11, name="b")
    [pair] = compare(labels, winner, [other], resamples=200).pairs
    means = []
    for each in (winner, other):
        confusions = [metrics.confusion_matrix(labels, row, 7) for row in each.probabilities.argmax(-1)]
        means.append(np.mean([metrics.macro_f1(confusion) for confusion in confusions]))
    assert pair.macro_f1_difference == pytest.approx(means[0] - means[1])
    assert pair.macro_f1_low < pair.macro_f1_difference < pair.macro_f1_high
