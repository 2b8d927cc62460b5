"""Singular and plural, wherever numbers of things are told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fer_tune.amounts import amount

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0 CPUs"), (1, "1 CPU"), (1.0, "1 CPU"), (0.5, "0.5 CPUs"), (2, "2 CPUs"), (12_000, "12,000 CPUs")],
)
def test_one_is_singular(number: float, told: str) -> None:
    assert amount(number, "CPU") == told


def test_no_message_leaves_the_choice_to_its_reader() -> None:
    """``1 node(s)``: it takes a word to know which."""
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for package in ("fer_tune", "analysis")
        for file in (ROOT / package).rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r"\w\((s|es)\)", line) and '"' in line and not re.search(r"\w+\((s|es)\)[.,:]? *[=+\-*/]", line)
    ]
    assert found == []
