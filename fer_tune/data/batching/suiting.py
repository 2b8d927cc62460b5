"""Settings that ask something of a dataset which it does not have, told before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_tune.config import COLOUR_ONLY
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.errors import UserError


def check_suits(settings: Mapping[str, Any], card: DatasetCard, where: str = "") -> None:
    """Check that the dataset has the votes and the colours that ``settings`` ask for.

    Args:
        settings: fields of :class:`~fer_tune.config.TrialConfig`; those that are not named have their defaults.
        card: of the dataset.
        where: what a message begins with.

    Raises:
        UserError: it has not, so that a setting would do nothing.
    """
    votes = settings.get("votes", "majority")
    if votes != "majority" and not card.votes:
        raise UserError(
            f"{where}votes: {votes}: {card.name} has one label per image and no votes, so there is nothing to train on "
            "but the labels; leave it out, or prepare a dataset with votes, such as FER+ or a table with a column of "
            "votes per emotion"
        )
    named = str(settings.get("transforms", "all")).split("+")
    if card.channels == 1 and (idle := [name for name in named if name in COLOUR_ONLY]):
        raise UserError(
            f"{where}transforms: {'+'.join(idle)}: does nothing to grey images, which {card.name} has; leave it out, "
            "or prepare the dataset with --channels 3"
        )
