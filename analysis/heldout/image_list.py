"""Images in memory as a split, for what predicts and batches splits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_tune.data.prepared.store import Split


class ImageList(Split):
    """Images that stand in no prepared dataset, or a part of one.

    Args:
        images: (N, H, W, C) uint8, of the shape that the dataset's card tells.
        labels: (N,) integer classes; zeros where none are known.
        sources: where each image came from.
    """

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[Any] | None = None, sources: list[str] | None = None
    ) -> None:
        self.name = "images"
        self.images = images
        self.labels = np.zeros(len(images), dtype=np.int64) if labels is None else labels.astype(np.int64)
        self._sources = sources or [str(number) for number in range(len(images))]

    def __reduce__(self) -> tuple[type[Split], tuple[Any, ...]]:
        return ImageList, (self.images, self.labels, self._sources)

    @property
    def sources(self) -> list[str]:
        return self._sources

    @property
    def groups(self) -> list[str]:
        return [""] * len(self.labels)

    def verify(self) -> None:
        """Do nothing: there is no hash on record."""
