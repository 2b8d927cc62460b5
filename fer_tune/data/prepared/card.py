"""The card of a prepared dataset (``dataset.json``): what it holds, where it came from, what was done to it."""

from __future__ import annotations

import hashlib
import json
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_tune.errors import UserError

FORMAT_VERSION = 1
CARD_FILE = "dataset.json"
SPLITS: tuple[str, ...] = ("train", "val", "test")


def split_file(split: str) -> str:
    """Return the file name of a split inside a prepared dataset."""
    return f"{split}.arrow"


LOOKED_FOR = (
    f"a prepared dataset holds {CARD_FILE}, {', '.join(split_file(split) for split in SPLITS)}; "
    "make one with `fer-tune data prepare SOURCE --out DIR`"
)


class DatasetCard(BaseModel):
    """What ``dataset.json`` holds."""

    model_config = ConfigDict(extra="forbid")

    format_version: int = FORMAT_VERSION
    name: str  # "fer2013", "synthetic", ...
    source: str  # what it was made from, in words
    classes: list[str]  # a label is an index into it
    height: int = Field(ge=1)  # pixels
    width: int = Field(ge=1)  # pixels
    channels: Literal[1, 3]
    fit: Literal["pad", "crop", "stretch"] = "pad"  # how pictures of another shape are brought to height x width
    counts: dict[str, dict[str, int]]  # split -> class -> images
    pixel_mean: list[float]  # per channel, of train, in [0, 1]
    pixel_std: list[float]
    votes: bool = False  # whether each image of train has the votes of several people
    splits: dict[str, Any] = Field(default_factory=dict)  # the split policy and its seed
    hygiene: dict[str, Any] = Field(default_factory=dict)  # what was found and dropped
    split_hashes: dict[str, str]  # split -> SHA-256 of its content
    split_bytes: dict[str, int]  # split -> size of its file
    content_hash: str  # SHA-256 over classes, image shape and split hashes

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels of every image."""
        return self.height, self.width, self.channels

    def images(self, split: str) -> int:
        """Return the number of images in ``split``."""
        return sum(self.counts[split].values())


def content_hash(classes: list[str], shape: tuple[int, int, int], split_hashes: dict[str, str]) -> str:
    """Return the SHA-256 (hex) that stands for the whole content of a dataset."""
    text = json.dumps({"classes": classes, "shape": list(shape), "splits": split_hashes}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def permitted(place: Path) -> Iterator[None]:
    """Tell that a user may not read what the block reads at ``place``, which is whole for all that is known.

    Raises:
        UserError: with the cure.
    """
    try:
        yield
    except PermissionError as error:
        raise UserError(
            f"{error.filename or place}: may not be read ({error.strerror}); have its owner allow it, such as by "
            f"`chmod -R a+rX {shlex.quote(str(place))}`, or name a copy of your own"
        ) from None


def read_card(folder: Path) -> DatasetCard:
    """Read and check ``dataset.json`` in ``folder``.

    Raises:
        UserError: the folder is no prepared dataset, its card is damaged, a newer fer-tune wrote it, or it may not be
            read.
    """
    with permitted(folder):
        return _read_card(folder)


def _read_card(folder: Path) -> DatasetCard:
    if not folder.exists():
        raise UserError(
            f"{folder}: no such folder on {socket.gethostname()}; {LOOKED_FOR}; on a cluster every node must see it, "
            "so name a folder that all share, or a URI such as s3://bucket/folder"
        )
    file = folder / CARD_FILE
    if (folder / "folds.json").is_file():
        raise UserError(
            f"{folder}: a dataset in folds; `fer-tune search --data {folder}` takes it whole, anything else one fold, "
            f"such as {folder / 'fold_01'}"
        )
    if not file.is_file():
        raise UserError(f"{folder}: not a prepared dataset: no {CARD_FILE} in it; {LOOKED_FOR}")
    try:
        content = file.read_bytes()
    except PermissionError:
        raise
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); prepare the dataset again") from None
    return parse_card(content, str(file))


def parse_card(content: bytes, file: str) -> DatasetCard:
    """Check the content of ``dataset.json``; ``file`` is what a message calls it.

    Raises:
        UserError: it is damaged, or a newer fer-tune wrote it.
    """
    try:
        values = json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: cannot be read ({error}); prepare the dataset again") from None
    version = values.get("format_version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(
            f"{file}: written in format {version} by a newer fer-tune, this one reads up to format {FORMAT_VERSION}; "
            "upgrade fer-tune or prepare the dataset again"
        )
    try:
        card = DatasetCard.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "file"
        raise UserError(f"{file}: damaged: {place}: {fault['msg'].lower()}; prepare the dataset again") from None
    if card.content_hash != content_hash(card.classes, card.shape, card.split_hashes):
        raise UserError(f"{file}: damaged: its content hash does not fit its content; prepare the dataset again")
    return card
