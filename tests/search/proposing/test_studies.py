"""A journal whose end was not written whole is mended, and the study goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fer_tune.errors import UserError
from fer_tune.search.proposing.studies import open_studies


def tried(file: Path, count: int) -> int:
    """Try some more, and return how many a new reader finds."""
    study = open_studies(file, ["net"], 0)["net"]
    for _ in range(count):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, 0.5)
    return len(open_studies(file, ["net"], 0)["net"].trials)


@pytest.mark.parametrize(
    "cut",
    [
        lambda content: content[:-10],
        lambda content: content[:-10] + bytes(10),  # as some file systems leave a file after a power cut
        lambda content: content[:-10] + bytes(9) + b"\n",
        lambda content: content + b'{"op_code": 4, "worker',
        lambda content: content + b"\n",
    ],
)
def test_what_was_not_written_whole_is_taken_off(
    tmp_path: Path, cut: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "study.journal"
    assert tried(file, 3) == 3
    file.write_bytes(cut(file.read_bytes()))
    assert tried(file, 2) == 5
    assert "were not written whole; they are taken off" in caplog.text
    caplog.clear()
    assert tried(file, 1) == 6
    assert not caplog.text


def test_a_whole_line_without_its_end_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "study.journal"
    tried(file, 3)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert tried(file, 0) == 3
    assert file.read_bytes().startswith(whole)


def test_damage_before_the_end_is_told_and_nothing_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "study.journal"
    tried(file, 3)
    first, *rest = file.read_bytes().splitlines(keepends=True)
    damaged = b"".join([first, b"damaged\n", *rest])
    file.write_bytes(damaged)
    with pytest.raises(UserError, match=r"study\.journal: line 2 is damaged, and others follow"):
        open_studies(file, ["net"], 0)
    assert file.read_bytes() == damaged
