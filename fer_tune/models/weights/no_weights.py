"""Why a file cannot be read as weights, and the line that makes weights of what it holds instead."""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from fer_tune.filing.first_bytes import told_by_content
from fer_tune.models.weights.words import some

_OTHERS = {  # of networks in other forms: their first bytes say nothing
    ".onnx": "a network in ONNX",
    ".pb": "a network of TensorFlow",
    ".tflite": "a network of TensorFlow Lite",
    ".index": "a checkpoint of TensorFlow",
    ".mlmodel": "a network of Core ML",
    ".engine": "a network of TensorRT",
    ".caffemodel": "a network of Caffe",
}
NESTS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Where training code keeps the tensors of a network, the best first."""
_TORCH = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # torch's magic number, pickled, before its format was a zip
_STATE = "save the state dict of the network in PyTorch: `torch.save(model.state_dict(), 'weights.pt')`"


def why_not(file: Path, error: Exception, plain: list[Any]) -> str:
    """Return why a file could not be read, and how to make weights of it where it holds something else.

    Args:
        file: it.
        error: what reading it raised.
        plain: what torch was allowed to unpickle.
    """
    once = "make weights of it once, if you trust it"
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            return f"is a TorchScript program, no weights; {once}: `{_convert(f'torch.jit.load({file.name!r})')}`"
    if foreign := _foreign(file, error, plain):
        load = f"torch.load({file.name!r}, weights_only=False)"
        if key := _key(file):
            inner = f"m = {load}[{key!r}]; torch.save(getattr(m, 'state_dict', lambda: m)(), 'weights.pt')"
            return (
                f"holds pickled objects, not tensors alone: it needs {some(foreign, 3)}, and to read it could run "
                f"code. Where that code is installed, {once}: `{inner}`"
            )
        return (
            f"is a pickled object, no state dict: it needs {some(foreign, 3)}, and to read it could run code. Where "
            f"that code is installed, {once}: `{_convert(load)}`"
        )
    if other := _OTHERS.get(file.suffix.lower()):
        return f"is {other}, no weights; {_STATE}"
    if told := told_by_content(file):
        return f"is {told}" if ";" in told else f"is {told}, no weights; {_STATE}"
    with file.open("rb") as opened:
        head = opened.read(32)
    if head.startswith(b"\x80") and _TORCH not in head:  # a pickle's
        load = f"torch.save(pickle.load(open({file.name!r}, 'rb')), 'weights.pt')"
        return f"is a pickle that torch did not write, and to read it could run code; {once}: `{load}`"
    if _TORCH not in head and not zipfile.is_zipfile(file):
        return "cannot be read as weights: it is neither safetensors nor saved by torch; download or save it again"
    return f"cannot be read as weights ({first(error)})"


def first(error: Exception) -> str:
    """Return the kind of an error and the beginning of what it says, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _convert(load: str) -> str:
    return f"torch.save({load}.state_dict(), 'weights.pt')"


def _pickled(file: Path) -> bytes:
    """Return the pickle in a file of torch's newer format, a zip."""
    with zipfile.ZipFile(file) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))


def _key(file: Path) -> str:
    """Return under which key of a pickled dictionary the network most likely is; empty where it is no dictionary."""
    try:
        codes = [(code.name, value) for code, value, _ in pickletools.genops(_pickled(file))]
    except Exception:  # of the older format
        return ""
    if codes[1][0] != "EMPTY_DICT":  # after PROTO
        return ""
    texts = [str(value) for name, value in codes if "UNICODE" in name]
    return next((key for key in (*NESTS, "model_state_dict", "net") if key in texts), texts[0] if texts else "")


def _foreign(file: Path, error: Exception, plain: list[Any]) -> list[str]:
    """Return the classes and functions that a pickle calls for and that are not plain data, in its order.

    The first is that of the whole object.  The pickle is read as text is, and nothing in it is run.
    """
    try:
        with safe_globals(plain):
            found = set(get_unsafe_globals_in_checkpoint(file))
        told = [
            str(value).replace(" ", ".")
            for code, value, _ in pickletools.genops(_pickled(file))
            if code.name == "GLOBAL"
        ]
        return list(dict.fromkeys([*(name for name in told if name in found), *sorted(found)]))
    except Exception:  # not of the newer format: the error names the first of them
        return re.findall(r"GLOBAL (\S+)", str(error))[:1]
