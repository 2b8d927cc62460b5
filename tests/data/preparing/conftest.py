from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.prepare import prepare

Prepared = tuple[DatasetCard, dict[str, Any]]


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Prepared]:
    """Prepare a raw dataset; the same in a dry run must tell the same and write nothing."""

    def run(source: Path, **options: Any) -> Prepared:
        out = tmp_path / "prepared" / str(len(list((tmp_path / "prepared").glob("*"))))
        before = sorted(tmp_path.rglob("*"))
        told = prepare(source, None, dry_run=True, **options)
        assert sorted(tmp_path.rglob("*")) == before
        card = prepare(source, out, **options)
        data = PreparedDataset.open(out)
        data.verify()
        own = ("name", "classes", "counts", "splits", "hygiene", "shape", "fit", "source", "votes")
        assert [getattr(told, field) for field in own] == [getattr(card, field) for field in own]
        return card, {split.name: split for split in (data.train(), data.val(), data.open_test())}

    return run


def sides(splits: dict[str, Any]) -> dict[str, set[str]]:
    """Return group -> the splits that it stands in."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, split in splits.items():
        for group in split.groups:
            found[group].add(name)
    return dict(found)
