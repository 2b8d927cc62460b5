"""Tables for LaTeX."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typesetting import typeset

from analysis.report.latex import escape, table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("63.1 ± 0.4", r"63.1 $\pm$ 0.4"),
        ("cnn_residual & 5 %", r"cnn\_residual \& 5 \%"),
        ("a\\b{c}", r"a\textbackslash{}b\{c\}"),
        ("−1.3 – 2", "$-$1.3 -- 2"),
        ("< 0.001", "$<$ 0.001"),
        (12, "12"),
    ],
)
def test_text_is_escaped(text: object, expected: str) -> None:
    assert escape(text) == expected


def test_a_table_is_whole() -> None:
    found = table([("name", "l"), ("a_b", "r")], [["x", 1], ["y", 2]], "50 % of it", "x")
    assert found.count(r"\begin{tabular}{lr}") == found.count(r"\end{tabular}") == 1
    for rule in ("toprule", "midrule", "bottomrule"):
        assert found.count(f"\\{rule}") == 1
    assert r"name & a\_b \\" in found
    assert re.findall(r"^    (\w) & (\d) \\\\$", found, re.MULTILINE) == [("x", "1"), ("y", "2")]
    assert r"\caption{50 \% of it}" in found
    assert r"\label{tab:x}" in found


def test_latex_takes_every_character_that_is_escaped(tmp_path: Path) -> None:
    odd = "\\ & % $ # _ { } ~ ^ < > ± × − – — é ß"
    typeset(table([(odd, "l"), ("b", "r")], [[odd, 1]], odd, "odd"), tmp_path)
