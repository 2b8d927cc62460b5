"""No sentence contradicts its interval as printed: random results, and what is said of them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from analysis.report.telling.findings import answer, standing
from analysis.report.telling.luck import luck
from analysis.results import Comparison, Trained, Versus
from analysis.statistics.comparing.paired import Contender, compare
from analysis.words import p_text, points, signed


def interval(text: str) -> tuple[float, float]:
    """Return the last interval with signs in ``text``."""
    low, high = re.findall(r"interval ([+−][\d.]+) to ([+−][\d.]+)", text)[-1]
    return float(low.replace("−", "-")), float(high.replace("−", "-"))


def agrees(text: str, *, shown: bool, more: bool) -> None:
    low, high = interval(text)
    assert shown == (low > 0 or high < 0), text
    if shown:
        assert more == (low > 0), text


def drawn(rng: np.random.Generator, labels: np.ndarray, name: str) -> Contender:
    seeds = int(rng.integers(1, 4))
    right = rng.random((seeds, len(labels))) < rng.uniform(0.4, 0.8)
    return Contender(name, "searched", np.eye(3)[np.where(right, labels, (labels + rng.integers(1, 3)) % 3)])


@pytest.mark.parametrize("seed", range(30))
def test_words_intervals_and_p_values_of_a_comparison_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, int(rng.integers(30, 120)))
    groups = [None, [f"g{n % 7}" for n in range(len(labels))]][seed % 2]
    winner, *others = (drawn(rng, labels, f"c{n}") for n in range(int(rng.integers(2, 6))))
    comparisons = [None, 12][seed % 3 == 0]
    for pair in compare(labels, winner, others, groups=groups, comparisons=comparisons, resamples=300).pairs:
        assert pair.shown == (pair.p < 0.05)
        assert (pair.macro_f1_low > 0 or pair.macro_f1_high < 0) == (pair.macro_f1_p < 0.05)
        assert pair.low <= pair.difference <= pair.high
        assert pair.macro_f1_low <= pair.macro_f1_difference <= pair.macro_f1_high
        agrees(pair.words, shown=not pair.words.startswith("no difference shown"), more="points more" in pair.words)
        told = re.search(r"corrected p [=<] ([\d.]+)", pair.words)
        assert told is not None
        assert (float(told[1]) < 0.05) == pair.shown


def versus(rng: np.random.Generator, second: str, origin: str) -> Versus:
    """Return a comparison whose bounds are now wide, now within a rounding of zero."""
    value = rng.normal(0, 10 ** rng.uniform(-5, -0.5))
    low, high = value - abs(value) * rng.uniform(0.2, 3), value + abs(value) * rng.uniform(0.2, 3)
    trained = Trained(only_first=1, only_second=2, p=1.0)
    f1 = {"macro_f1_difference": value, "macro_f1_low": low, "macro_f1_high": high, "macro_f1_p": 0.5}
    own = {"difference": value, "low": low, "high": high, "p": 0.5}
    names = {"first": "a", "second": second, "second_origin": origin, "seeds": (3, 3), "words": ""}
    return Versus(**names, **own, **f1, trained=trained)


def test_the_answer_agrees_with_its_interval(tested) -> None:
    run = tested[0].run
    stand = standing(run)
    origin = next(iter(run.published_names))
    rng = np.random.default_rng(0)
    for _ in range(300):
        pair = versus(rng, "b", origin)
        said = answer(run, replace(stand, comparison=Comparison(opening=1, images=1, method="", pairs=[pair])))
        agrees(said, shown="no difference" not in said, more="points more than" in said)


def test_the_luck_agrees_with_its_interval(made) -> None:
    rng = np.random.default_rng(1)
    for _ in range(12):
        spread = 10 ** rng.uniform(-4, -1)
        made.refit([list(rng.normal(0.6, spread, 3)), [0.1, 0.1, 0.1]])
        said = luck(made.run, standing(made.run))
        agrees(said, shown="not shown" not in said, more="too much" in said)


def test_numbers_are_told_as_zero_only_where_they_are() -> None:
    rng = np.random.default_rng(2)
    for value in (*rng.normal(0, 10 ** rng.uniform(-9, 0, 400)), 0.0, -0.0):
        told = float(points(value).replace("−", "-"))
        assert np.sign(told) == np.sign(value)
        assert (float(p_text(abs(value)).removeprefix("< ")) < 0.05) == (abs(value) < 0.05)
    assert signed(0.0) == signed(-0.0) == "+0.0"
