"""Errors to look at: confident mistakes, confused pairs, doubtful labels; kept at test time, drawn by the report.

The images are copied into the run while the held-out split is open, so that no report has to open it again.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_tune.data.prepared.store import Split
from fer_tune.filing.files import replacing

MISTAKES, PAIRS, PER_PAIR = 24, 4, 6
_MOST = 300
"""Images in all: a few of every pair of seven classes; they are copied into the run."""


@dataclass(frozen=True)
class Example:
    """One image that the model of the first seed takes for another class."""

    kind: str  # "mistake", "pair" of the most confused ones, or "further", of any other pair
    index: int  # in the split
    label: str
    predicted: str
    confidence: float  # its probability of the predicted class
    agreement: float  # share of the seeds that predict it


def find_examples(labels: NDArray[Any], probabilities: NDArray[Any], classes: list[str]) -> list[Example]:
    """Return the most confident mistakes of the first seed's model, then those of the pairs that it confuses most.

    One model's, as it could be used, and not those of an ensemble that nobody exports; so that pictures, pairs and what
    the network looked at (`analysis.heldout.gradcam`) belong together.  Then a few of every other pair.

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C).
        classes: the C names.
    """
    first = probabilities[0]
    predicted = first.argmax(-1)
    confidence = first.max(-1)
    agreement = (probabilities.argmax(-1) == predicted).mean(0)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]

    def example(kind: str, index: int) -> Example:
        names = classes[labels[index]], classes[predicted[index]]
        return Example(kind, int(index), *names, float(confidence[index]), float(agreement[index]))

    found = [example("mistake", index) for index in wrong[:MISTAKES]]
    pairs = labels[wrong] * len(classes) + predicted[wrong]
    counts = np.bincount(pairs, minlength=len(classes) ** 2)
    order = [pair for pair in np.argsort(-counts, kind="stable") if counts[pair]]
    for place, pair in enumerate(order):
        kind = "pair" if place < PAIRS else "further"
        found += [example(kind, index) for index in wrong[pairs == pair][:PER_PAIR]]
    return found[:_MOST]


def doubtful_labels(labels: NDArray[Any], probabilities: NDArray[Any], classes: list[str]) -> pd.DataFrame:
    """Return images whose label may be wrong, the most doubtful first, by confident learning.

    An image counts when every seed predicts the same other class and the ensemble gives it at least the probability
    that it gives, on average, to images of that class (Northcutt, Jiang & Chuang, J. Artif. Intell. Res. 70, 2021).

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C).
        classes: the C names.

    Returns:
        Columns index, label, suggested, p_label, p_suggested.
    """
    joint = probabilities.mean(0)
    each = probabilities.argmax(-1)
    numbers = range(len(classes))
    usual = np.array([joint[labels == c, c].mean() if (labels == c).any() else 1.0 for c in numbers])
    suggested = joint.argmax(-1)
    doubtful = (suggested != labels) & (each == suggested).all(0) & (joint.max(-1) >= usual[suggested])
    rows = np.flatnonzero(doubtful)
    frame = pd.DataFrame(
        {
            "index": rows,
            "label": [classes[label] for label in labels[rows]],
            "suggested": [classes[label] for label in suggested[rows]],
            "p_label": joint[rows, labels[rows]],
            "p_suggested": joint[rows, suggested[rows]],
        }
    )
    order = (frame["p_label"] - frame["p_suggested"]).sort_values(kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def keep_examples(
    folder: Path, split: Split, probabilities: NDArray[Any], classes: list[str], look: Any | None = None
) -> None:
    """Write ``examples.parquet`` (with the images as PNG) and ``doubtful.parquet`` beside the predictions.

    Args:
        folder: ``test/opening_<n>/<config>``.
        split: the open split, N images.
        probabilities: (S, N, C).
        classes: the C names.
        look: from (images, predicted classes) to (K, H, W) heat in [0, 1] or None; see `analysis.heldout.gradcam`.
    """
    found = find_examples(split.labels, probabilities, classes)
    frame = pd.DataFrame([asdict(each) for each in found], columns=list(Example.__annotations__))
    images = split.images[frame["index"].to_numpy(dtype=int)]
    heats: list[Any] = []
    looked = int((frame["kind"] != "further").sum())  # they stand first
    if look is not None and looked:
        chosen = np.array([classes.index(name) for name in frame["predicted"][:looked]])
        found_heats = look(images[:looked], chosen)
        heats = [] if found_heats is None else [_png((255 * heat).astype(np.uint8)) for heat in found_heats]
    sources = split.sources
    frame["source"] = [sources[index] for index in frame["index"]]
    frame["image"] = [_png(image) for image in images]
    frame["heat"] = [*heats, *[None] * (len(frame) - len(heats))]
    doubts = doubtful_labels(split.labels, probabilities, classes)
    doubts.insert(0, "source", [sources[index] for index in doubts["index"]])
    for name, table in (("examples", frame), ("doubtful", doubts)):
        with replacing(folder / f"{name}.parquet") as temporary:
            table.to_parquet(temporary, index=False)


def _png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()
