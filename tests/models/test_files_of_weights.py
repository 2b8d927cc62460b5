"""Files and folders as people have them: what is read goes by content, and what is no weights is said with a cure."""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fer_tune.errors import UserError
from fer_tune.models import create_model, load_weights

State = dict[str, Tensor]


def build() -> nn.Module:
    return create_model("cnn_simpler", num_classes=7, in_chans=1)


def kept(content: Any, file: Path) -> Path:
    torch.save(content, file)
    return file


def safe(state: State, file: Path, about: dict[str, str] | None = None) -> Path:
    save_file(state, file, about)
    return file


def arrays(state: State, folder: Path) -> Path:
    objects = np.array([{"lr": 0.1}], dtype=object)
    np.savez(folder / "w.npz", allow_pickle=True, beside=objects, **{k: v.numpy() for k, v in state.items()})
    return folder / "w.npz"


def in_parts(state: State, folder: Path) -> Path:
    halves = dict(list(state.items())[:10]), dict(list(state.items())[10:])
    files = [safe(half, folder / f"model-0000{n}-of-00002.safetensors").name for n, half in enumerate(halves, start=1)]
    where = {name: file for file, half in zip(files, halves, strict=True) for name in half}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return index


def in_folder(state: State, folder: Path, file: str) -> Path:
    (folder / "config.json").write_text("{}")
    torch.save({"step": 3}, folder / "training_args.bin")
    (safe if file.endswith("safetensors") else kept)(state, folder / file)  # type: ignore[operator]
    return folder


@pytest.mark.parametrize(
    "written",
    [
        lambda state, folder: safe(state, folder / "named_otherwise.pt"),
        lambda state, folder: kept(state, folder / "named_otherwise.safetensors"),
        lambda state, folder: safe(state, folder / "w.safetensors", {"format": "pt", "classes": "seven"}),
        lambda state, folder: safe(state, folder / "w.safetensors", {"classes": "7"}),
        arrays,
        in_parts,
        lambda state, folder: in_parts(state, folder).parent,
        lambda state, folder: in_folder(state, folder, "model.safetensors"),
        lambda state, folder: in_folder(state, folder, "pytorch_model.bin"),
        lambda state, folder: kept(state, folder / "epoch_3.pth").parent,
        lambda state, folder: kept({"a": {"b": {"c": {"d": {"e": state}}}}}, folder / "w.pt"),
        lambda state, folder: kept({n: t.to_sparse() if t.ndim else t for n, t in state.items()}, folder / "w.pt"),
        lambda state, folder: kept({n: t.double() for n, t in state.items()}, folder / "w.pt"),
        lambda state, folder: kept({**state, 3: torch.zeros(2)}, folder / "w.pt"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_same_weights_are_read_from(tmp_path: Path, written: Callable[[State, Path], Path]) -> None:
    donor, model = build(), build()
    report = load_weights(model, written(donor.state_dict(), tmp_path))
    own, other = model.state_dict(), donor.state_dict()
    assert report.missing == ()
    assert all(torch.equal(own[name], other[name]) for name in own if not name.startswith("head."))


def spoilt(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[State, Path], Path]:
    def write(state: State, folder: Path) -> Path:
        return kept({each: change(value) if name in each else value for each, value in state.items()}, folder / "w.pt")

    return write


def nan(tensor: Tensor) -> Tensor:
    return tensor * float("nan")


def cut(state: State, folder: Path, write: Callable[[State, Path], Path]) -> Path:
    file = write(state, folder / "w")
    file.write_bytes(file.read_bytes()[:5000])
    return file


def old(state: State, file: Path) -> Path:
    torch.save(state, file, _use_new_zipfile_serialization=False)
    return file


def packed(state: State, folder: Path) -> Path:
    with zipfile.ZipFile(folder / "w.zip", "w") as archive:
        archive.write(kept(state, folder / "w.pt"), "w.pt")
    return folder / "w.zip"


def as_bytes(content: bytes, name: str = "w.pth") -> Callable[[State, Path], Path]:
    def write(state: State, folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def two(state: State, folder: Path) -> Path:
    kept(state, folder / "epoch_1.pt")
    return kept(state, folder / "epoch_2.pt").parent


def without_a_part(state: State, folder: Path) -> Path:
    index = in_parts(state, folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    return index


PAGE = b"\n<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            spoilt("0.0.weight", nan),
            r"1 of its tensors hold values that are no numbers .*: blocks\.0\.0\.weight; its t",
        ),
        (spoilt("running_var", nan), r"4 of its tensors hold values that are no numbers"),
        (spoilt("weight", lambda t: t.to(torch.int8)), r"hold int8 numbers .* as in a quantised model; name the file"),
        (spoilt("0.0.weight", lambda t: t.to("meta")), r"blocks\.0\.0\.weight has a shape and no numbers"),
        (as_bytes(b""), r"is an empty file \(0 bytes\); download or save it again"),
        (as_bytes(PAGE), r"is a web page, as a download that failed leaves it; download"),
        (as_bytes(PAGE, "w.safetensors"), r"is a web page"),
        (
            as_bytes(b'<?xml version="1.0"?><Error><Code>AccessDenied'),
            r"is an XML text, as a store leaves that refuses",
        ),
        (as_bytes(LFS), r"is a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`"),
        (as_bytes(LFS, "w.safetensors"), r"is a pointer of Git LFS"),
        (as_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99), "w.h5"), r"is an HDF5 file, as Keras .*; save the state dict"),
        (as_bytes(b"\x08\x08\x12\x07pytorch", "w.onnx"), r"is a network in ONNX, no weights; save the state dict"),
        (as_bytes(gzip.compress(b"weights"), "w.pt.gz"), r"is compressed by gzip; unpack it and name what it holds"),
        (as_bytes(b"Rar!\x1a\x07\x01\x00"), r"is a RAR archive; unpack it"),
        (as_bytes(b"some words"), r"it is neither safetensors nor saved by torch"),
        (
            as_bytes(pickle.dumps({"a": [1.0]}), "w.pkl"),
            r"is a pickle that torch did not write, .*`torch\.save\(pickle",
        ),
        (as_bytes(b'{"weight_map": 3}', "model.safetensors.index.json"), r"no index of weights in parts"),
        (packed, r"is a zip archive; unpack it and name what it holds"),
        (lambda s, f: cut(s, f, lambda s, f: kept(s, f.with_suffix(".pt"))), r"is the beginning of a zip file, whose"),
        (lambda s, f: cut(s, f, lambda s, f: safe(s, f.with_suffix(".safetensors"))), r"copy it again, if it is cut"),
        (lambda s, f: cut(s, f, old), r"cannot be read as weights \("),
        (without_a_part, r"model-00002-of-00002\.safetensors: no such weights file"),
        (two, r"several weights files are here \(epoch_1\.pt, epoch_2\.pt\); name the one"),
        (lambda s, f: kept(list(s.values()), f / "w.pt"), r"no state dict .*, but a list of 26 entries, which have no"),
        (lambda s, f: kept(dict(enumerate(s.values())), f / "w.pt"), r"no state dict .*, but a dictionary of 0, 1, 2"),
        (lambda s, f: kept(torch.zeros(3), f / "w.pt"), r"no state dict .*, but a single tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_started_from_is_named_with_the_cure(
    tmp_path: Path, written: Callable[[State, Path], Path], told: str
) -> None:
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=told) as caught:
        load_weights(model, written(model.state_dict(), tmp_path))
    assert "weights_only" not in str(caught.value)  # torch's own advice is to run what the file says
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_network_inside_what_a_program_pickled_is_converted_by_the_line_that_is_told(tmp_path, monkeypatch) -> None:
    donor = build()
    file = kept({"epoch": 3, "net": donor}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds pickled objects, not tensors alone") as caught:
        load_weights(build(), file)
    monkeypatch.chdir(tmp_path)
    exec(str(caught.value).split("`")[1], {"torch": torch})
    model = build()
    load_weights(model, shutil.move("weights.pt", tmp_path / "other.pt"))
    assert torch.equal(model.state_dict()["blocks.0.0.weight"], donor.state_dict()["blocks.0.0.weight"])


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="no file here that always fails to be read")
def test_a_file_that_the_disk_does_not_give_is_told() -> None:
    with pytest.raises(UserError, match=r"^/proc/self/mem: cannot be read: Input/output error$"):
        load_weights(build(), "/proc/self/mem")
