"""A dataset on a file system that cannot map files into memory, as some that a program serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from drawing import tiny_dataset

from fer_tune.data.prepared import mapping
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError


def refused(path: str, *more: str) -> None:
    raise OSError("Memory mapping file failed: No such device")  # as pyarrow says it, without a number


def test_it_is_read_instead_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_dataset(tmp_path / "data", n_train=70, n_val=14, n_test=14, size=12)
    data = PreparedDataset.open(tmp_path / "data")
    mapped = data.train()
    monkeypatch.setattr(pa, "memory_map", refused)
    monkeypatch.setattr(mapping, "_told", set())
    data.verify()
    read = data.train()
    np.testing.assert_array_equal(read.images, mapped.images)
    np.testing.assert_array_equal(read.labels, mapped.labels)
    assert not read.images.flags.writeable
    assert read.sources == mapped.sources
    told = capsys.readouterr().err
    assert told.count("cannot map files into memory") == 1
    assert str(tmp_path / "data") in told


def test_a_dataset_is_written_there_with_the_same_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_dataset(tmp_path / "mapped", n_train=70, n_val=14, n_test=14, size=12)
    monkeypatch.setattr(pa, "memory_map", refused)
    tiny_dataset(tmp_path / "read", n_train=70, n_val=14, n_test=14, size=12)
    cards = [PreparedDataset.open(tmp_path / name).card for name in ("mapped", "read")]
    assert cards[0].content_hash == cards[1].content_hash
    PreparedDataset.open(tmp_path / "read").verify()


def test_what_is_damaged_is_still_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_dataset(tmp_path / "data", n_train=70, n_val=14, n_test=14, size=12)
    file = tmp_path / "data" / "train.arrow"
    file.write_bytes(bytes(file.stat().st_size))
    monkeypatch.setattr(pa, "memory_map", refused)
    with pytest.raises(UserError, match=r"train\.arrow: damaged"):
        PreparedDataset.open(tmp_path / "data").train()
