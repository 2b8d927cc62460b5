"""What a file is by its first bytes."""

from __future__ import annotations

import doctest

from fer_tune.data.preparing.readers.tables import text
from fer_tune.filing import first_bytes


def test_the_examples_of_the_documentation_run() -> None:
    assert doctest.testmod(first_bytes) == (0, 4)
    assert doctest.testmod(text) == (0, 2)
