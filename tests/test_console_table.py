"""Tables on consoles of any width: nothing that they say is lost."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from fer_tune.console_table import ConsoleTable, table_console


def printed(width: int) -> str:
    table = ConsoleTable("trial", "backbone", title="first: 2 completed", box=None)
    table.add_column("val acc", justify="right", no_wrap=True)
    table.add_row("d8eeb8f8", "cnn_separable", "20.00 %")
    table.add_row("4e92aca8", "", "15.56 %")
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [3, 5, 10, 20, 30])
def test_on_a_narrow_console_each_row_is_a_list_with_every_letter(width: int) -> None:
    told = printed(width)
    letters = re.sub(r"\s", "", told)
    assert letters == "first:2completedd8eeb8f8backbone:cnn_separablevalacc:20.00%4e92aca8valacc:15.56%"
    assert width < 10 or max(map(len, told.splitlines())) <= width


def test_where_the_words_fit_it_stays_a_table() -> None:
    head, *rows = (line.split() for line in printed(40).splitlines()[1:])
    assert head == ["trial", "backbone", "val", "acc"]
    assert rows == [["d8eeb8f8", "cnn_separable", "20.00", "%"], ["4e92aca8", "15.56", "%"]]


def test_a_usual_console_has_tables_although_a_word_is_long() -> None:
    table = ConsoleTable("name", "about")
    table.add_row("x" * 120, "y")
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    assert "┃" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("columns", "lines"), [(None, 2), ("80", 4)])
def test_in_a_pipe_a_row_is_a_line_unless_columns_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str | None, lines: int
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    table = ConsoleTable("name", "about", box=None)
    table.add_row("one", "word " * 40)
    table_console().print(table)
    assert len(capsys.readouterr().out.splitlines()) == lines
