"""The mistakes that a test kept, as images that stand in a page."""

from __future__ import annotations

import base64
import io

import pandas as pd
from PIL import Image

from analysis.report.form.blocks import Mistake
from analysis.results import TestResult
from analysis.run import RunRecord

_SIDE = 112  # pixels, as wide as a page shows them
_QUALITY = 85  # of JPEG: 3 to 5 KB for a face of that size
_PLAIN = 6_000  # bytes: a smaller png stays as it is


def gallery(run: RunRecord, test: TestResult) -> list[Mistake]:
    """Return the mistakes of a test, each image once, the most confident first; none where it kept none."""
    file = run.folder.test(test.config_id, test.opening) / "examples.parquet"
    if not file.is_file():
        return []
    frame = pd.read_parquet(file).drop_duplicates("index").sort_values("confidence", ascending=False, kind="stable")
    seeds = len(test.seeds)
    return [
        Mistake(
            _address(row["image"]),
            row["label"],
            row["predicted"],
            f"{row['label']} → {row['predicted']}, {100 * row['confidence']:.0f} %, "
            f"{round(seeds * row['agreement'])} of {seeds}",
        )
        for row in frame.to_dict("records")
    ]


def _address(png: bytes) -> str:
    """Return an image as a ``data:`` address, made smaller where it is large."""
    if len(png) <= _PLAIN:
        return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
