"""Aggregates over seeds and datasets, as rliable has them, and who stands against whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_run import load_seed, make_run, predict_seed
from scipy import stats
from simulated_aggregates import KINDS, coverage

from analysis import compare
from analysis.heldout.opening import run_test
from analysis.results import TestResult
from analysis.statistics.comparing.aggregates import aggregate, improvement, interquartile_mean, mean_of_middle
from analysis.statistics.comparing.contenders import aggregated
from fer_tune.errors import UserError


def test_the_interquartile_mean_is_scipys_trimmed_mean() -> None:
    scores = np.random.default_rng(0).random((3, 7))
    assert interquartile_mean(scores.reshape(-1)) == pytest.approx(stats.trim_mean(scores.reshape(-1), 0.25))
    assert mean_of_middle(scores).estimate == pytest.approx(stats.trim_mean(scores.reshape(-1), 0.25))


def test_the_probability_of_improvement_is_mann_whitneys_over_the_datasets() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random((2, 5)), rng.random((2, 4))
    second[0, 0] = first[0, 0]  # a tie
    each = [stats.mannwhitneyu(a, b).statistic / 20 for a, b in zip(first, second, strict=True)]
    found = improvement(first, second)
    assert found.estimate == pytest.approx(np.mean(each))
    assert found.low < found.estimate < found.high


def test_seeds_that_all_agree_are_not_taken_for_certain() -> None:
    found = aggregate({"old": np.array([[0.5, 0.51, 0.52]]), "new": np.array([[0.6, 0.61, 0.62]])})
    [pair] = found.improvements
    assert (pair.first, pair.second, pair.probability.estimate) == ("new", "old", 1.0)
    assert pair.probability.low < 0.5  # three seeds of each show little


def test_profiles_fall_from_all_seeds_to_none() -> None:
    first, second = np.array([[0.5, 0.6, 0.7], [0.8, 0.8, 0.9]]), np.array([[0.4, 0.4, 0.5], [0.5, 0.6, 0.6]])
    found = aggregate({"a": first, "b": second})
    assert found.names == ["a", "b"]
    assert found.datasets == 2
    for profile in found.profiles:
        assert (profile.share[0], profile.share[-1]) == (1, 0)
        assert (np.diff(profile.share) <= 0).all()
        assert ((profile.low <= profile.share) & (profile.share <= profile.high)).all()
    place = int(np.abs(found.thresholds - 0.65).argmin())
    assert found.profiles[0].share[place] == pytest.approx(4 / 6)


def seen_on(split: str, accuracies: list[float], largest: float = 0.25) -> Any:
    accuracy = type("Estimate", (), {"per_seed": accuracies})()
    seeds = list(range(len(accuracies)))
    return TestResult.model_construct(split_hash=split, seeds=seeds, accuracy=accuracy, largest_class=largest)


def test_backbones_stand_against_each_other_on_the_datasets_of_all() -> None:
    tests = [
        ("r1", "small", seen_on("x", [0.5, 0.5, 0.5])),
        ("r2", "large", seen_on("x", [0.6, 0.6, 0.6, 0.6])),
        ("r3", "small", seen_on("y", [0.75, 0.7, 0.8], 0.5)),
        ("r4", "large", seen_on("y", [0.9, 0.9, 0.9], 0.5)),
        ("r5", "large", seen_on("z", [0.1, 0.1, 0.1])),
    ]
    found, told = aggregated(tests)
    assert (found.names, found.datasets, found.seeds) == (["large", "small"], 2, [3, 3])
    assert found.means[1].estimate == pytest.approx(interquartile_mean(np.array([1 / 3] * 3 + [0.5, 0.4, 0.6])))
    assert told.startswith("Score from 0 (always the largest class)")
    assert "backbones on 2 held-out splits" in told


def test_runs_stand_against_each_other_where_backbones_do_not_tell_them_apart() -> None:
    found, told = aggregated([("tpe", "net", seen_on("x", [0.5] * 3)), ("random", "net", seen_on("x", [0.4] * 3))])
    assert found.names == ["tpe", "random"]
    assert found.means[0].estimate == 0.5
    assert told.startswith("Accuracy, runs on 1 held-out split")


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ([("a", "net", seen_on("x", [0.5] * 3))], "two backbones or runs"),
        ([("a", "net", seen_on("x", [0.5] * 3)), ("b", "net", seen_on("y", [0.5] * 3))], "no held-out split"),
        (
            [("a", "net", seen_on("x", [0.5] * 2)), ("b", "net", seen_on("x", [0.5] * 3))],
            "need 3 seeds of each",
        ),
    ],
)
def test_with_too_little_there_is_one_sentence(tests: list[Any], words: str) -> None:
    found, told = aggregated(tests)
    assert found is None
    assert words in told


def test_a_comparison_of_runs_has_them(made, tested, tmp_path, data) -> None:
    other = make_run(tmp_path / "second", data)
    other.refit([[0.5, 0.51, 0.52]])
    run_test(other.run, load=load_seed, predict=predict_seed, device="cpu", resamples=50)
    found = compare([tested[0].run, other.run])
    assert found.aggregates is not None
    assert set(found.aggregates.names) == {"run", "second"}
    assert found.plot_profiles().axes[0].get_xlabel() == "accuracy (%)"
    untold = compare([made.run, other.run])
    assert untold.aggregates is None
    with pytest.raises(UserError, match="No aggregates"):
        untold.plot_profiles()


def test_intervals_of_few_seeds_hold_the_truth_where_percentiles_do_not() -> None:
    own, plain, better = coverage(1, 3, False, 200, np.random.default_rng(0))
    assert own >= 0.9  # 95 %, less three standard errors of 200
    assert better >= 0.9
    assert plain < 0.85


@pytest.mark.slow
def test_intervals_of_few_seeds_hold_the_truth_of_every_kind() -> None:
    rng = np.random.default_rng(1)
    for kind in KINDS:
        own, _, better = coverage(*kind, 800, rng)
        assert own >= 0.90, kind
        assert better >= 0.93, kind
