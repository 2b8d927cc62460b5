"""Sheets of small images with a line of text below each."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from analysis.figures.base import Shown, headline
from analysis.figures.style import WIDTH, style
from analysis.results import TestResult
from analysis.run import RunRecord

_COLUMNS = 6


def sheet(frame: pd.DataFrame, title: str, *, heat: bool = False) -> Figure:
    """Draw the images of ``frame`` in rows of six, each with its label, the prediction and its probability below.

    Args:
        frame: columns image (PNG), heat (PNG or None), label, predicted, confidence.
        title: of the sheet.
        heat: lay the heat over the images.
    """
    rows = math.ceil(len(frame) / _COLUMNS)
    with style():
        figure = Shown(figsize=(WIDTH, 0.6 + 1.75 * rows))
        grid = figure.subplots(rows, _COLUMNS, squeeze=False)
        for number, axes in enumerate(grid.ravel()):
            axes.set_axis_off()
            if number >= len(frame):
                continue
            row: Any = frame.iloc[number]
            image = _decoded(row["image"])
            grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if image.ndim == 2 else {}
            axes.imshow(image, **grey)
            if heat:
                over = _decoded(row["heat"])
                extent = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
                axes.imshow(over, cmap="inferno", alpha=0.5, vmin=0, vmax=255, extent=extent)
            text = f"{row['label']}\n→ {row['predicted']} {100 * row['confidence']:.0f} %"
            axes.set_title(text, fontsize=8.5, fontweight="normal", loc="center", pad=3)
        headline(figure, title)
        return figure


def _decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)))


def draw(run: RunRecord, test: TestResult) -> Iterator[tuple[str, str, Figure]]:
    """Yield the sheets of images as (file name, caption, figure); none for tests that kept no examples."""
    file = run.folder.test(test.config_id, test.opening) / "examples.parquet"
    if not file.is_file():
        return
    frame = pd.read_parquet(file)
    model = f"seed {test.seeds[0]}"
    for kind, name, title in (
        ("mistake", "mistakes", "The most confident mistakes"),
        ("pair", "confused_pairs", "The most confused pairs"),
    ):
        own = frame[frame["kind"] == kind].reset_index(drop=True)
        if len(own):
            words = f"{title} of the model of {model}: label → prediction, and its probability."
            yield name, words, sheet(own, title)
    looked = frame[(frame["kind"] == "mistake") & frame["heat"].notna()].head(12).reset_index(drop=True)
    if len(looked):
        words = f"Grad-CAM of the model of {model} for the class that it chose wrongly: bright is what spoke for it; "
        words += "where nothing is bright, no place did by itself."
        yield "gradcam", words, sheet(looked, "Where the network looked", heat=True)
