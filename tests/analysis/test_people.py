"""Intervals that count people."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.metrics import accuracy
from analysis.statistics.people import confusions_of_people, over_people, recall_where_seen


def of_rates(rates, images: int) -> np.ndarray:
    """(G, 2, 2) confusions of people of whose first class such shares are right."""
    found = np.zeros((len(rates), 2, 2))
    found[:, 0, 0] = np.asarray(rates) * images
    found[:, 0, 1] = images - found[:, 0, 0]
    return found


def test_images_are_counted_by_person_and_seeds_averaged():
    labels, people = np.array([0, 1, 1, 0]), ["b", "a", "b", "b"]
    predicted = np.array([[0, 1, 0, 0], [1, 1, 0, 0]])
    found = confusions_of_people(labels, predicted, people, 2)
    assert found.tolist() == [[[0, 0], [0, 1]], [[1.5, 0.5], [1, 0]]]  # a, then b
    assert found.sum() == 4


@pytest.mark.parametrize("people", [10, 40])
def test_it_is_as_wide_as_students_over_people_of_as_many_images(people):
    rates = np.random.default_rng(people).uniform(0.5, 1, people)
    value, low, high = over_people(accuracy, of_rates(rates, 20), resamples=20_000)
    half = stats.t.ppf(0.975, people - 1) * rates.std(ddof=1) / np.sqrt(people)
    assert value == pytest.approx(rates.mean())
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)  # the bootstrap's quantiles are skewed and drawn


def test_more_images_of_the_same_people_tell_nothing_more():
    rates = np.linspace(0.5, 1, 8)
    few, many = (over_people(accuracy, of_rates(rates, images)) for images in (4, 400))
    assert few[1:] == pytest.approx(many[1:])


def test_a_class_that_some_people_never_show_is_left_out_of_a_resample_without_it():
    confusions = of_rates([0.5, 1.0, 0.5, 1.0], 10)
    confusions[0, 1, 1], confusions[1, 1, 0] = 3, 1  # two of four show the second class
    value, low, high = over_people(recall_where_seen, confusions)
    assert value == pytest.approx([0.75, 0.75])
    assert low[1] == 0
    assert high[1] == 1
    assert np.isfinite(low).all()


@pytest.mark.slow
def test_it_covers_as_it_says_where_counting_images_does_not():
    """400 draws of 10 and 30 people: standard error 1 %."""
    rng = np.random.default_rng(0)
    for people in (10, 30):
        ours = theirs = 0
        for draw in range(400):
            rates = rng.beta(6.4, 1.6, people)  # 0.8 in the mean
            right = rng.binomial(20, rates)
            confusions = of_rates(right / 20, 20)
            value, low, high = over_people(accuracy, confusions, resamples=500, seed=draw)
            half = 1.96 * np.sqrt(value * (1 - value) / (20 * people))
            ours += bool(low <= 0.8 <= high)
            theirs += bool(abs(value - 0.8) <= half)
        assert 0.91 < ours / 400 < 0.98
        assert theirs / 400 < 0.88
