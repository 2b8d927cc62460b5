"""A search for Ray Tune that may be extended when it is resumed, also one that had come to its end.

Tune saves how many trials a search has, that it has had them all, and how many may run side by side, and brings that
back at a resume whatever is asked for then (Ray 2.60, ``SearchGenerator.set_state``, ``ConcurrencyLimiter.set_state``).
Here the searcher alone knows how many there are, and says when there are no more; and what is new holds.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.tune.search import ConcurrencyLimiter, Searcher, SearchGenerator


class OpenEnded(SearchGenerator):
    """Asks a searcher until it has no more, whatever was saved.

    Args:
        searcher: what suggests trials, and ends the search.
        concurrent: most trials side by side.
    """

    def __init__(self, searcher: Searcher, concurrent: int) -> None:
        super().__init__(ConcurrencyLimiter(searcher, concurrent))
        self._side_by_side = concurrent

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what Tune saved, but for what may be asked for anew."""
        super().set_state({**state, "finished": False, "total_samples": sys.maxsize})
        self.searcher.set_max_concurrency(self._side_by_side)
