"""Weights on a file system that cannot map files into memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from fer_tune.models.weights import tensors as reading
from fer_tune.models.weights.tensors import read_tensors


@pytest.mark.parametrize("about", [None, {"classes": '["a", "b"]'}])
@pytest.mark.parametrize("mapped", [True, False])
def test_tensors_and_what_is_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool, about: dict[str, str] | None
) -> None:
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2], dtype=torch.int64)}
    save_file(tensors, tmp_path / "w.safetensors", about)
    if not mapped:
        monkeypatch.setattr(reading, "safe_open", refused)
    found, beside = read_tensors(tmp_path / "w.safetensors")
    assert beside == (about or {})
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


def test_damage_and_absence_are_no_matter_of_mapping(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"12345678 no weights")
    with pytest.raises(SafetensorError):
        read_tensors(tmp_path / "w.safetensors")
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none.safetensors")


def refused(file: Path, framework: str) -> None:
    raise OSError("No such device (os error 19)")  # as safetensors says it
