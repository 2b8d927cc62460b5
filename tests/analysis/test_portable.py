"""What goes to other machines names no folder of this one, and changes nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from analysis.portable import portable, without_folders


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("see /home/me/runs/first, or /data", "see runs/first, or data"),
        ("`fer-tune test /home/me/runs/first`", "`fer-tune test runs/first`"),
        ("OSError: [Errno 28] No space: '/mnt/disk 1/x'", "OSError: [Errno 28] No space: 'mnt/disk 1/x'"),
        (r"C:\Users\me\runs\first and ~/runs/a/b", "runs/first and a/b"),
        ("weights s3://bucket/a/b/c.pt, file:///x/y/z", "weights s3://bucket/a/b/c.pt, file:///x/y/z"),
        ("di504-metu/simpler, 1/3 of 4 / 5, images/s, </b>", "di504-metu/simpler, 1/3 of 4 / 5, images/s, </b>"),
    ],
)
def test_paths_keep_their_last_two_parts(text: str, wanted: str) -> None:
    assert without_folders(text) == wanted


@dataclass(frozen=True)
class Held:
    rows: list[dict[str, str]]
    pair: tuple[str, int]
    image: str


def test_all_text_in_a_value_is_seen_to_but_images() -> None:
    held = Held([{"a": "/x/y/z"}], ("/x/y/z", 1), "data:image/jpeg;base64,/9j/4AAQ")
    assert portable(held) == Held([{"a": "y/z"}], ("y/z", 1), "data:image/jpeg;base64,/9j/4AAQ")
