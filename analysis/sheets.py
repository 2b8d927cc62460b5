"""Sheets of small images with a line of text below each."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from analysis.figures import headline
from analysis.style import WIDTH, style

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
        figure = Figure(figsize=(WIDTH, 0.6 + 1.75 * rows))
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
