"""What a report says of errors: the most confused pairs, and labels that may be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.heldout.examples import PAIRS
from analysis.results import TestResult
from analysis.run import RunRecord
from analysis.words import count

_SHOWN_DOUBTS = 10


def example_facts(run: RunRecord, test: TestResult) -> dict[str, Any]:
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
