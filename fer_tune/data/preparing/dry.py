"""A writer that writes nothing: what ``--dry-run`` gives the images to, so that the card can still be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from fer_tune.data.prepared.card import SPLITS, DatasetCard
from fer_tune.data.prepared.writer import Record
from fer_tune.data.preparing.fitting import Fit
from fer_tune.errors import UserError


class DryWriter:
    """Counts what it is given; stands in for a :class:`~fer_tune.data.prepared.writer.DatasetWriter`.

    Args:
        classes: names of the classes.
    """

    folder = None

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = list(classes)
        self._counts: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
        self._sizes: Counter[tuple[int, ...]] = Counter()
        self._voted: dict[str, bool] = {split: True for split in SPLITS}

    def __enter__(self) -> DryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def add(self, split: str, record: Record) -> None:
        """Count one record."""
        self._counts[split][record.label] += 1
        self._sizes[record.image.shape] += 1
        self._voted[split] &= bool(record.votes)

    def finish(
        self, *, name: str, source: str, splits: Mapping[str, Any], hygiene: Mapping[str, Any], fit: Fit = "pad"
    ) -> DatasetCard:
        """Return the card that would be written, but for hashes and statistics of pixels.

        Raises:
            UserError: a split is empty, or images differ in size.
        """
        empty = [split for split, counts in self._counts.items() if not counts]
        if empty:
            raise UserError(f"{source}: no images for {' and '.join(empty)}; a dataset needs {', '.join(SPLITS)}")
        if len(self._sizes) > 1:
            listed = ", ".join(f"{count:,} of {size[1]}x{size[0]}" for size, count in self._sizes.most_common(5))
            raise UserError(
                f"{source}: images of {len(self._sizes):,} sizes ({listed}); all images of a dataset must have one "
                "size: choose it with --size"
            )
        (shape,) = self._sizes
        return DatasetCard(
            name=name,
            source=source,
            classes=self.classes,
            height=shape[0],
            width=shape[1],
            channels=3 if len(shape) == 3 and shape[2] == 3 else 1,
            fit=fit,
            counts={
                split: {name: counts[label] for label, name in enumerate(self.classes)}
                for split, counts in self._counts.items()
            },
            pixel_mean=[],
            pixel_std=[],
            votes=self._voted["train"],
            splits=dict(splits),
            hygiene=dict(hygiene),
            split_hashes={},
            split_bytes={},
            content_hash="",
        )
