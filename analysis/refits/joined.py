"""Train and validation as one training split, for the last training of a configuration that is chosen already."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fer_tune.data.prepared.store import PreparedDataset, Split


class JoinedSplit(Split):
    """Two splits one after the other; their images are copied into memory once."""

    def __init__(self, first: Split, second: Split) -> None:
        self._parts = (first, second)
        self.name = f"{first.name}+{second.name}"
        self.images = np.concatenate([first.images, second.images])
        self.labels = np.concatenate([first.labels, second.labels])

    def __reduce__(self) -> tuple[type[Split], tuple[Any, ...]]:
        return JoinedSplit, self._parts

    @property
    def sources(self) -> list[str]:
        return [source for part in self._parts for source in part.sources]

    @property
    def groups(self) -> list[str]:
        return [group for part in self._parts for group in part.groups]

    @property
    def votes(self) -> npt.NDArray[np.uint16] | None:
        """Those of both; where the second has none, one vote for each of its labels. None where the first has none."""
        first, second = (part.votes for part in self._parts)
        if first is None:
            return None
        if second is None:
            second = np.eye(first.shape[1], dtype=np.uint16)[self._parts[1].labels]
        return np.concatenate([first, second])

    def verify(self) -> None:
        for part in self._parts:
            part.verify()


class JoinedDataset(PreparedDataset):
    """A prepared dataset whose training split holds the validation images as well.

    `val` still gives the validation images, which are trained on here: what is measured on them tells nothing.
    """

    def train(self) -> Split:
        return JoinedSplit(super().train(), self.val())
