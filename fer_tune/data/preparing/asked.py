"""What `fer_tune.prepare` is asked for, from its keywords, whose types and bounds its door has checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.preparing.bar import shown
from fer_tune.data.preparing.classes import parsed_classes
from fer_tune.data.preparing.folding import Folded, prepare_folds
from fer_tune.data.preparing.prepare import prepare
from fer_tune.data.preparing.readers.tables.columns import parsed
from fer_tune.data.preparing.splits import SplitOptions


def prepare_as_asked(
    source: str | Path,
    out: str | Path | None,
    *,
    format: str | None,
    columns: Mapping[str, str] | Sequence[str] | None,
    classes: Mapping[str, str] | Sequence[str] | None,
    split: str | None,
    test_characters: str | Sequence[str] | None,
    group: str | None,
    folds: int | None,
    test_fraction: float | None,
    val_fraction: float | None,
    seed: int,
    **others: Any,
) -> DatasetCard | Folded:
    """Prepare a dataset, or its folds, with a bar on a terminal; the keywords are those of `fer_tune.prepare`.

    Raises:
        UserError: what is wrong with the dataset, a file of it or an option.
    """
    named = [test_characters] if isinstance(test_characters, str) else test_characters or ()
    characters = tuple(each.strip() for text in named for each in text.split(","))
    options: dict[str, Any] = {
        **others,
        "format_name": format,
        "columns": dict(columns) if isinstance(columns, Mapping) else parsed(columns or ()),
        "classes": dict(classes) if isinstance(classes, Mapping) else parsed_classes(classes or ()),
        "splits": SplitOptions(split, characters, group, test_fraction, val_fraction, seed),
    }
    to = None if out is None else Path(out)
    with shown() as progress:
        if folds is not None:
            return prepare_folds(Path(source), to, folds, progress=progress, **options)
        return prepare(Path(source), to, progress=progress, **options)
