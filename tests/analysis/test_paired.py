"""Two configurations on the same images: the comparison against other libraries, and its errors by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from fake_run import guesses
from scipy import stats
from simulation import experiments

from analysis.statistics import metrics
from analysis.statistics.paired import Contender, compare, difference, holm, mcnemar


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


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_a_clear_difference_is_shown_with_its_size(labels: np.ndarray) -> None:
    winner, other = contender(labels, 0.7, 1), contender(labels, 0.55, 11, name="b")
    [pair] = compare(labels, winner, [other], resamples=500).pairs
    expected = (winner.probabilities.argmax(-1) == labels).mean() - (other.probabilities.argmax(-1) == labels).mean()
    assert pair.difference == pytest.approx(expected)
    assert pair.low < expected < pair.high
    assert pair.low > 0
    assert pair.shown
    assert pair.probability > 0.99
    assert "points more accurate" in pair.words
    assert "no difference" not in pair.words


def test_no_difference_is_said_in_words(labels: np.ndarray) -> None:
    [pair] = compare(labels, contender(labels, 0.6, 1), [contender(labels, 0.6, 21, name="b")], resamples=500).pairs
    assert not pair.shown
    assert pair.low < 0 < pair.high
    assert pair.words.startswith("no difference shown: ")
    assert 0.02 < pair.probability < 0.98


def test_several_comparisons_are_corrected(labels: np.ndarray) -> None:
    others = [contender(labels, 0.58, 10 * n, name=f"b{n}") for n in (1, 2, 3)]
    found = compare(labels, contender(labels, 0.6, 1), others, resamples=500)
    assert [pair.p_holm for pair in found.pairs] == pytest.approx(holm([pair.p for pair in found.pairs]))
    assert [pair.mcnemar.p_holm for pair in found.pairs] == pytest.approx(holm([p.mcnemar.p for p in found.pairs]))
    assert "3 comparisons" in found.method


def test_mcnemar_is_of_the_ensembles(labels: np.ndarray) -> None:
    winner, other = contender(labels, 0.7, 1), contender(labels, 0.6, 11, name="b")
    [pair] = compare(labels, winner, [other], resamples=100).pairs
    joint = [each.probabilities.mean(0).argmax(-1) for each in (winner, other)]
    assert (pair.mcnemar.only_first, pair.mcnemar.only_second, pair.mcnemar.p) == mcnemar(labels, *joint)


def test_configurations_with_unlike_numbers_of_seeds_compare(labels: np.ndarray) -> None:
    [pair] = compare(labels, contender(labels, 0.6, 1, seeds=4), [contender(labels, 0.6, 9, seeds=1)]).pairs
    assert pair.seeds == (4, 1)


def test_the_same_configuration_twice_does_not_differ() -> None:
    rng = np.random.default_rng(0)
    observed = rng.random((1, 2))
    resampled = rng.random((50, 1, 2))
    found = difference((observed, resampled), (observed, resampled), rng)
    assert (found.value == 0).all()
    assert (found.p == 1).all()
    assert (found.probability == 0.5).all()


@pytest.mark.parametrize(
    "configurations", [[(3, 0.02), (3, 0.02)], [(5, 0.03), (5, 0.03)], [(5, 0.05), (3, 0.01)]], ids=str
)
def test_false_positives_stay_at_their_level(configurations: list[tuple[int, float]]) -> None:
    rng = np.random.default_rng(7)
    p, held = [], []
    for first, second in experiments(900, configurations, rng):
        found = difference(first, second, rng)
        p += list(found.p)
        held += list((found.low <= 0) & (found.high >= 0))
    # 5 %, within 3 standard errors of 900 experiments; fewer where the seeds hardly differ
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.07
    assert 0.93 <= np.mean(held) <= 0.99


def test_the_family_of_comparisons_keeps_its_level() -> None:
    rng = np.random.default_rng(8)
    p = []
    for batch in experiments(900, [(3, 0.02)] * 4, rng):
        p.append([difference(batch[0], other, rng).p for other in batch[1:]])
    family = np.concatenate(p, axis=1).T  # an experiment per row, a comparison per column
    naive = (family < 0.05).any(axis=1).mean()
    corrected = sum(min(holm(list(row))) < 0.05 for row in family if min(row) < 0.05) / len(family)
    assert corrected <= 0.065
    assert naive > corrected


def test_a_true_difference_is_found() -> None:
    rng = np.random.default_rng(9)
    [[first, second]] = experiments(100, [(5, 0.01), (5, 0.01)], rng)
    better = (first[0] + 0.1, first[1] + 0.1)
    assert np.mean(difference(better, second, rng).p < 0.05) > 0.8
    assert np.mean(difference(better, second, rng).probability) > 0.95


def test_macro_f1_has_its_own_difference(labels: np.ndarray) -> None:
    winner, other = contender(labels, 0.7, 1), contender(labels, 0.6, 11, name="b")
    [pair] = compare(labels, winner, [other], resamples=200).pairs
    means = []
    for each in (winner, other):
        confusions = [metrics.confusion_matrix(labels, row, 7) for row in each.probabilities.argmax(-1)]
        means.append(np.mean([metrics.macro_f1(confusion) for confusion in confusions]))
    assert pair.macro_f1_difference == pytest.approx(means[0] - means[1])
    assert pair.macro_f1_low < pair.macro_f1_difference < pair.macro_f1_high
