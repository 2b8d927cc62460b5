"""The dataset's card as a run keeps it, so that a run can be read when its dataset has moved."""

from __future__ import annotations

from pathlib import Path

from analysis.run.reading import RunRecord
from fer_tune.data.prepared.card import DatasetCard, read_card
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json


def keep_card(run: RunRecord, dataset: PreparedDataset) -> None:
    """Copy the dataset's card into the run, unless it is there already."""
    if not run.folder.dataset_file.is_file():
        write_json(dataset.card, run.folder.dataset_file)


def sampled_groups(card: DatasetCard | None, groups: list[str]) -> list[str] | None:
    """Return the groups that intervals are for new ones of; None where the test images are drawn one by one.

    Where the dataset was divided at random, the people of its test images are in train too: what is asked then is how
    new images of them fare, and the images are the sample.

    Args:
        card: the dataset's; None where it is not known, and then the groups count.
        groups: N names, empty strings where the dataset has none.
    """
    if not any(groups) or (card is not None and card.splits.get("split") == "random"):
        return None
    return groups


def dataset_card(run: RunRecord) -> DatasetCard | None:
    """Return the card that the run kept, else the dataset's own where it still is; None without either."""
    for folder in (run.folder.path, Path(run.settings.dataset.path)):
        try:
            card = read_card(folder)
        except UserError:
            continue
        if card.content_hash == run.settings.dataset.content_hash:
            return card
    return None
