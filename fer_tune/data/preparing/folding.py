"""``--folds K``: a prepared dataset for each of K folds, in none of which a person is on two sides."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.folds import FOLDS_FILE, Fold, FoldsCard, fold_name
from fer_tune.data.prepared.writer import check_out
from fer_tune.data.preparing.prepare import prepare
from fer_tune.data.preparing.splits import SplitOptions
from fer_tune.errors import UserError


@dataclass(frozen=True)
class Folded:
    """A dataset that was prepared in folds."""

    card: FoldsCard
    cards: list[DatasetCard]  # of each fold


def prepare_folds(
    source: Path,
    out: Path | None,
    folds: int,
    *,
    splits: SplitOptions,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> Folded:
    """Prepare the raw dataset at ``source`` in ``folds`` folds, all of them or none.

    Fold k holds out the people of the k-th part; validation is whole people of the rest. Published parts are put
    together and divided anew.

    Args:
        source: a raw dataset.
        out: where ``fold_01`` and the others shall stand; must not exist, or be an empty folder.
        folds: how many, at most one for each person.
        splits: how the rest is divided, and the seed.
        dry_run: write nothing.
        progress: as for `prepare`, with the fold in the words.
        options: all others of `prepare`.

    Raises:
        UserError: there are no groups, or fewer than folds; and as `prepare`.
    """
    splits.check()
    if folds < 2:
        raise UserError(f"--folds {folds}: two or more")
    for name, given in (
        ("--split", splits.split == "random"),
        ("--test-characters", splits.test_characters),
        ("--test-fraction", splits.test_fraction is not None),
    ):
        if given:
            raise UserError(f"--folds and {name} contradict each other: every person is tested in one of the folds")
    if out is None and not dry_run:
        raise UserError("--out: missing; name the folder for the prepared folds, or look first with --dry-run")
    hidden = None
    if out is not None and not dry_run:
        out = Path(out).expanduser()
        check_out(out)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            hidden = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        except OSError as error:
            raise UserError(f"{out}: cannot be written: {error.strerror}; choose another --out") from None
    try:
        cards = []
        for number in range(1, folds + 1):
            target = None if hidden is None else hidden / fold_name(number)
            own = replace(splits, fold=(number, folds))
            shown = _shown(progress, number, folds)
            cards.append(prepare(source, target, splits=own, dry_run=dry_run, progress=shown, **options))
        card = _card(cards, splits.seed)
        if hidden is not None and out is not None:
            (hidden / FOLDS_FILE).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
            hidden.chmod(0o755)  # mkdtemp makes it private
            check_out(out)
            hidden.rename(out)
    finally:
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)
    return Folded(card, cards)


def _card(cards: list[DatasetCard], seed: int) -> FoldsCard:
    found = [
        Fold(
            name=fold_name(number),
            content_hash=card.content_hash,
            people=card.splits["test_people"],
            images=card.images("test"),
        )
        for number, card in enumerate(cards, 1)
    ]
    return FoldsCard(name=cards[0].name, people=sum(fold.people for fold in found), seed=seed, folds=found)


def _shown(
    progress: Callable[[str, int, int], None] | None, number: int, folds: int
) -> Callable[[str, int, int], None] | None:
    if progress is None:
        return None
    return lambda stage, done, total: progress(f"fold {number} of {folds}: {stage}", done, total)
