"""A part of a prepared dataset, where a benchmark on all images would take days."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fer_tune.data.prepared.store import PreparedDataset, Split
from fer_tune.data.prepared.writer import Record, write_dataset


def part_of(data: PreparedDataset, folder: Path, train: int, validation: int) -> PreparedDataset:
    """Return so many images of both splits, drawn at random, as a dataset of their own; all where there are no more."""

    def records(split: Split, most: int) -> Iterator[Record]:
        for place in np.random.default_rng(0).permutation(len(split))[:most]:
            yield Record(split.images[place], int(split.labels[place]), f"{place}")

    trained_on, judged_on = data.train(), data.val()
    if len(trained_on) <= train and len(judged_on) <= validation:
        return data
    splits = {
        "train": records(trained_on, train),
        "val": records(judged_on, validation),
        "test": records(judged_on, 1),  # a dataset has one; no benchmark on a part reads it
    }
    write_dataset(folder, splits, name="a part", source=data.card.source, classes=data.card.classes)
    return PreparedDataset.open(folder)
