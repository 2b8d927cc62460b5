"""Errors to look at: confident mistakes, confused pairs, doubtful labels; kept at test time, drawn by the report.

The images are copied into the run while the held-out split is open, so that no report has to open it again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from analysis.results import TestResult
from analysis.run import Run
from analysis.words import count
from fer_tune.data.store import Split
from fer_tune.run_folder import replacing

MISTAKES, PAIRS, PER_PAIR = 24, 4, 6
_SHOWN_DOUBTS = 10


@dataclass(frozen=True)
class Example:
    """One image that the seeds' ensemble takes for another class."""

    kind: str  # "mistake", or "pair"
    index: int  # in the split
    label: str
    predicted: str
    confidence: float  # mean probability of the predicted class
    agreement: float  # share of the seeds that predict it


def find_examples(labels: NDArray[Any], probabilities: NDArray[Any], classes: list[str]) -> list[Example]:
    """Return the most confident mistakes, then the most confused pairs with their most confident mistakes.

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C).
        classes: the C names.
    """
    joint = probabilities.mean(0)
    predicted = joint.argmax(-1)
    confidence = joint.max(-1)
    agreement = (probabilities.argmax(-1) == predicted).mean(0)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]

    def example(kind: str, index: int) -> Example:
        names = classes[labels[index]], classes[predicted[index]]
        return Example(kind, int(index), *names, float(confidence[index]), float(agreement[index]))

    found = [example("mistake", index) for index in wrong[:MISTAKES]]
    pairs = labels[wrong] * len(classes) + predicted[wrong]
    counts = np.bincount(pairs, minlength=len(classes) ** 2)
    for pair in np.argsort(-counts, kind="stable")[:PAIRS]:
        found += [example("pair", index) for index in wrong[pairs == pair][:PER_PAIR]]
    return found


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
        folder: ``test/<config>``.
        split: the open split, N images.
        probabilities: (S, N, C).
        classes: the C names.
        look: from (images, predicted classes) to (K, H, W) heat in [0, 1] or None; see `analysis.gradcam`.
    """
    found = find_examples(split.labels, probabilities, classes)
    frame = pd.DataFrame([asdict(each) for each in found], columns=list(Example.__annotations__))
    images = split.images[frame["index"].to_numpy(dtype=int)]
    heats = None
    if look is not None and len(frame):
        heats = look(images, np.array([classes.index(name) for name in frame["predicted"]]))
    sources = split.sources
    frame["source"] = [sources[index] for index in frame["index"]]
    frame["image"] = [_png(image) for image in images]
    frame["heat"] = [None] * len(frame) if heats is None else [_png((255 * heat).astype(np.uint8)) for heat in heats]
    doubts = doubtful_labels(split.labels, probabilities, classes)
    doubts.insert(0, "source", [sources[index] for index in doubts["index"]])
    for name, table in (("examples", frame), ("doubtful", doubts)):
        with replacing(folder / f"{name}.parquet") as temporary:
            table.to_parquet(temporary, index=False)


def _png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()


def example_facts(run: Run, test: TestResult) -> dict[str, Any]:
    """Return what the report says of errors: pairs with their counts, and doubtful labels; empty for older tests."""
    file = run.folder.test(test.config_id) / "doubtful.parquet"
    if not file.is_file():
        return {}
    doubts = pd.read_parquet(file)
    total = np.sum(np.asarray(test.confusion), axis=0)
    off = total * (1 - np.eye(len(total), dtype=int))
    order = np.argsort(-off, axis=None)[:PAIRS]
    pairs = []
    for true, predicted in zip(*np.unravel_index(order, off.shape), strict=True):
        if off[true, predicted]:
            names = test.classes[true], test.classes[predicted]
            share = 100 * off[true, predicted] / max(1, total[true].sum())
            pairs.append(f"{names[0]} taken for {names[1]} ({share:.0f} % of {names[0]})")
    return {
        "doubtful": f"{count(len(doubts), 'label')} of {test.images:,}",
        "pairs": "; ".join(pairs),
        "rows": [
            {
                "source": row["source"],
                "label": row["label"],
                "suggested": row["suggested"],
                "p": f"{100 * row['p_suggested']:.0f}",
            }
            for row in doubts.head(_SHOWN_DOUBTS).to_dict("records")
        ],
        "file": str(file),
    }


def draw(run: Run, test: TestResult) -> Iterator[tuple[str, str, Figure]]:
    """Yield the sheets of images as (file name, caption, figure); none for tests that kept no examples."""
    from analysis.sheets import sheet

    file = run.folder.test(test.config_id) / "examples.parquet"
    if not file.is_file():
        return
    frame = pd.read_parquet(file)
    for kind, name, title in (
        ("mistake", "mistakes", "The most confident mistakes"),
        ("pair", "confused_pairs", "The most confused pairs"),
    ):
        own = frame[frame["kind"] == kind].reset_index(drop=True)
        if len(own):
            words = f"{title}, of the seeds' ensemble: label → prediction, and its mean probability."
            yield name, words, sheet(own, title)
    looked = frame[(frame["kind"] == "mistake") & frame["heat"].notna()].head(12).reset_index(drop=True)
    if len(looked):
        words = "Grad-CAM of the first seed's model for the class that it chose wrongly: bright is what spoke for it."
        yield "gradcam", words, sheet(looked, "Where the network looked", heat=True)
