from __future__ import annotations

from pathlib import Path

import pytest
from drawing import tiny_dataset

from fer_tune.data.prepared.store import PreparedDataset


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    path: Path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path, n_train=210, n_val=70, n_test=14)
    return PreparedDataset.open(path)
