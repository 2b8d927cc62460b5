"""Weights that cannot be loaded are told with what makes them anew, before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawing import tiny_dataset

from analysis.refits.predictor import Predictor
from fer_tune.config import TrialConfig
from fer_tune.errors import UserError
from fer_tune.training.evaluation import build_model
from fer_tune.training.keeping import checkpoint


def config(backbone: str) -> TrialConfig:
    return TrialConfig(backbone=backbone, epochs=1)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("cut", "cut off, or not weights of this cnn_simpler: Error while deserializing header"),
        ("empty", "cut off, or not weights of this cnn_simpler: Error while deserializing header"),
        ("gone", "cut off, or not weights of this cnn_simpler: .*No such file"),
        ("other", "cut off, or not weights of this cnn_simpler: (Missing key|size mismatch)"),
    ],
)
@pytest.mark.parametrize(("folder", "cure"), [("seed_1", "fer-tune refit"), ("averaged", "fer-tune test --again")])
def test_what_cannot_be_loaded(tmp_path: Path, damage: str, told: str, folder: str, cure: str) -> None:
    card = tiny_dataset(tmp_path / "data", n_train=7, n_val=7, n_test=7)
    file = tmp_path / folder / "best.safetensors"
    file.parent.mkdir()
    checkpoint.save_best(file.parent, build_model(config("cnn_simpler"), card).state_dict(), card.classes)
    predictor = Predictor(card, "cpu")
    predictor.load(config("cnn_simpler"), file)
    if damage == "other":
        checkpoint.save_best(file.parent, build_model(config("cnn_separable"), card).state_dict(), card.classes)
    elif damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 9_000 if damage == "cut" else 0])
    with pytest.raises(UserError, match=told) as raised:
        predictor.load(config("cnn_simpler"), file)
    message = str(raised.value)
    assert message.startswith(f"{file}: ")
    assert f"take the file from a backup, or remove {file.parent}, and `{cure}` makes it anew" in message
    assert "\n" not in message
