"""How far the accuracy of a single trial may be trusted, in a sentence: one seed, some images, the best of many."""

from __future__ import annotations

from typing import Any

from analysis.run import RunRecord
from analysis.run.cards import dataset_card
from analysis.statistics.uncertainty.intervals import wilson
from analysis.words import percent


def one_seed_sentence(run: RunRecord, ranked: list[dict[str, Any]]) -> str:
    """Return what the validation accuracy of the first of ``ranked`` may be on other images.

    Args:
        run: it belongs to.
        ranked: rows of `RunRecord.rows`, the best first.

    Returns:
        A sentence without its full stop; empty where there are no rows, or the dataset's card is not at hand.
    """
    card = dataset_card(run)
    if card is None or not ranked:
        return ""
    images = card.images("val")
    found = wilson(ranked[0]["val_accuracy"] * images, images)
    flatters = f"; the best of {len(ranked)} trials flatters itself" if len(ranked) > 1 else ""
    return (
        f"validation accuracy is of one seed and {images:,} images: that of the first is {percent(found.low)} to "
        f"{percent(found.high)} % for new ones (95 % interval){flatters}"
    )
