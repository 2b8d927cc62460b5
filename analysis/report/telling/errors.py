"""What a report says of errors: the most confused pairs, and labels that may be wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.heldout.examples import PAIRS
from analysis.report.form.blocks import Mistake
from analysis.report.form.gallery import gallery
from analysis.results import TestResult
from analysis.run import RunRecord
from analysis.words import percent
from fer_tune.amounts import amount

_SHOWN_DOUBTS = 10


@dataclass(frozen=True)
class Examples:
    """The errors of a test, in words."""

    model: str  # whose errors they are
    pairs: str  # the most confused
    doubtful: str  # how many labels, of how many
    right: str  # how much the models that doubt them have right
    rows: list[dict[str, str]]  # the most doubtful labels
    file: str  # with all of them, in the run folder
    gallery: list[Mistake]


def examples(run: RunRecord, test: TestResult) -> Examples | None:
    """Return the most confused pairs with their counts, and doubtful labels; None for older tests, which kept none."""
    file = run.folder.test(test.config_id, test.opening) / "doubtful.parquet"
    if not file.is_file():
        return None
    doubts = pd.read_parquet(file)
    total = np.asarray(test.confusion[0])  # of the first seed, whose mistakes are shown
    off = total * (1 - np.eye(len(total), dtype=int))
    order = np.argsort(-off, axis=None)[:PAIRS]
    pairs = []
    for true, predicted in zip(*np.unravel_index(order, off.shape), strict=True):
        if off[true, predicted]:
            names = test.classes[true], test.classes[predicted]
            pairs.append(f"{names[0]} taken for {names[1]} ({off[true, predicted]:,} of {total[true].sum():,})")
    rows = [
        {
            "source": row["source"],
            "label": row["label"],
            "suggested": row["suggested"],
            "p": f"{100 * row['p_suggested']:.0f}",
        }
        for row in doubts.head(_SHOWN_DOUBTS).to_dict("records")
    ]
    doubtful = f"{amount(len(doubts), 'label')} of {test.images:,}"
    model = f"{test.config_id} seed {test.seeds[0]}"
    inside = file.relative_to(run.folder.path).as_posix()
    right = f"{percent(test.accuracy.value)} %"
    return Examples(model, "; ".join(pairs), doubtful, right, rows, inside, gallery(run, test))
