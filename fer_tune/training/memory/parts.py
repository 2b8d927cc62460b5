"""Into how many parts a batch is split that does not fit into memory as a whole."""

from __future__ import annotations

SMALLEST = 8
"""Images of a part at least.

Batch norm takes its statistics from a part, and from few images they are poor: with 32, 16, 8, 4 and 2 images a worker
a ResNet-50 had 23.6, 23.7, 24.8, 27.3 and 34.7 % errors on ImageNet (Wu and He 2018, "Group Normalization", table 2).
"""


def more_parts(parts: int, batch: int) -> int | None:
    """Return the next number of parts to try where a batch of ``batch`` images did not fit in ``parts``.

    None where parts would be smaller than `SMALLEST`: then it fits in none.

    >>> more_parts(1, 64), more_parts(8, 64), more_parts(1, 15)
    (2, None, None)
    """
    return 2 * parts if batch // (2 * parts) >= SMALLEST else None
