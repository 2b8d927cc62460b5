"""How a search shows itself: a table for people, nothing, or JSON lines for programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast, get_args

Output = Literal["text", "quiet", "json"]
OUTPUT = "FER_TUNE_OUTPUT"
"""The environment variable that says how progress is shown; it reaches a resumed search too, whose callbacks Tune
brings back from its snapshot."""


def output() -> Output:
    """Return how progress is shown: as `OUTPUT` says, else as text."""
    asked = os.environ.get(OUTPUT, "text")
    return cast(Output, asked) if asked in get_args(Output) else "text"


@contextmanager
def showing(how: Output) -> Iterator[None]:
    """Have progress shown in this way in the block."""
    before = os.environ.get(OUTPUT)
    os.environ[OUTPUT] = how
    try:
        yield
    finally:
        if before is None:
            del os.environ[OUTPUT]
        else:
            os.environ[OUTPUT] = before
