"""Write and read ``predictions.parquet``: a row per seed and image, with the probability of every class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fer_tune.data.prepared.store import Split
from fer_tune.errors import UserError
from fer_tune.filing.files import replacing


@dataclass(frozen=True)
class Predictions:
    """What several seeds of one configuration predict for the same images."""

    sources: list[str]  # N, in the order of the split
    groups: list[str]  # N; empty strings where the dataset has none
    labels: NDArray[np.int64]  # (N,) indices into classes
    classes: list[str]
    seeds: list[int]
    probabilities: NDArray[np.float32]  # (S, N, C)


def predictions_file(folder: Path, views: str = "none") -> Path:
    """Return the file with the predictions of one kind of views, in the folder of a tested configuration.

    >>> predictions_file(Path("test"), "flip").name
    'predictions_flip.parquet'
    """
    return folder / ("predictions.parquet" if views == "none" else f"predictions_{views}.parquet")


def write_predictions(
    target: Path, split: Split, probabilities: NDArray[Any], classes: list[str], seeds: list[int]
) -> None:
    """Write a row per seed and image: source, label (a class name), group, seed, p_<class> for each class.

    Args:
        target: the parquet file.
        split: N images.
        probabilities: (S, N, C), a block per seed, images in the order of the split.
        classes: the C names.
        seeds: the S seeds.
    """
    count = len(split)
    names = pa.DictionaryArray.from_arrays(pa.array(np.tile(split.labels, len(seeds)), type=pa.int32()), classes)
    columns = {
        "source": pa.array(split.sources * len(seeds), type=pa.string()),
        "label": names,
        "group": pa.array(split.groups * len(seeds), type=pa.string()),
        "seed": pa.array(np.repeat(seeds, count), type=pa.int64()),
    }
    flat = probabilities.reshape(-1, len(classes)).astype(np.float32)
    columns |= {f"p_{name}": pa.array(flat[:, i]) for i, name in enumerate(classes)}
    with replacing(target) as temporary:
        pq.write_table(pa.table(columns), temporary)


def read_predictions(file: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        UserError: there is no such file, or it is not one of ours.
    """
    if not file.is_file():
        raise UserError(
            f"{file}: is missing; take it from a backup, for it is written once for each reading of the split: "
            "`fer-tune test --again` reads it once more, on record, and writes it for that reading"
        )
    table = pq.read_table(file, partitioning=None)
    columns = [name for name in table.column_names if name.startswith("p_")]
    if not columns or not {"source", "label", "group", "seed"} <= set(table.column_names):
        raise UserError(f"{file}: not predictions of fer-tune: it lacks source, label, group, seed or p_<class>")
    classes = [name.removeprefix("p_") for name in columns]
    seeds = list(dict.fromkeys(table["seed"].to_pylist()))
    count = len(table) // len(seeds)
    first = table.slice(0, count)
    numbers = {name: number for number, name in enumerate(classes)}
    flat = np.column_stack([table[name].to_numpy() for name in columns]).astype(np.float32)
    return Predictions(
        sources=first["source"].to_pylist(),
        groups=first["group"].to_pylist(),
        labels=np.array([numbers[name] for name in first["label"].to_pylist()], dtype=np.int64),
        classes=classes,
        seeds=seeds,
        probabilities=flat.reshape(len(seeds), count, len(classes)),
    )
