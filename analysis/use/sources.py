"""What is to be predicted, read in parts: files, tables, a prepared dataset, images in memory.

An image that cannot be read is noted and passed over: one broken file among thousands must not cost the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.heldout.image_list import ImageList
from fer_tune.data.prepared.card import CARD_FILE, DatasetCard
from fer_tune.data.prepared.store import PreparedDataset, Split
from fer_tune.data.preparing.fitting import fitted
from fer_tune.data.preparing.readers.base import Fault, UnreadableError
from fer_tune.data.preparing.readers.tables.files import SUFFIXES as TABLES
from fer_tune.data.preparing.readers.tables.images_of import table_images
from fer_tune.data.preparing.readers.trees.images import SUFFIXES, decode, images_below, in_channels, readable
from fer_tune.errors import UserError

AT_ONCE = 512  # images in memory at a time, and between two times that results are written
_DECODERS = min(8, os.cpu_count() or 1)  # threads: Pillow lets go of the interpreter while it decodes


class Source:
    """Images to be predicted.

    Iterating reads them, in parts of at most `AT_ONCE` images, so that a folder of any size fits in memory; parts of
    which nothing could be read are left out.

    Attributes:
        total: images in all, broken ones too; None where that is not known beforehand.
        faults: what could not be read so far.
    """

    def __init__(self, total: int | None, parts: Iterator[ImageList], faults: list[Fault]) -> None:
        self.total, self.faults, self._parts = total, faults, parts

    def __iter__(self) -> Iterator[ImageList]:
        return (part for part in self._parts if len(part))


def read_source(source: Path, card: DatasetCard, split: str = "val") -> Source:
    """Return what is to be predicted: an image, a folder of images and folders, a table, or a prepared dataset.

    Files are decoded, turned upright and fitted as `fer-tune data prepare` does; faces are not looked for or cropped.

    Args:
        source: where the images are.
        card: of the dataset that the models were trained on; the images are brought to its shape.
        split: ``train`` or ``val``, of a prepared dataset.

    Raises:
        UserError: nothing is there, or a dataset has another shape.
    """
    faults: list[Fault] = []
    if (source / CARD_FILE).is_file():
        own = _split(source, card, split)
        return Source(len(own), _sliced(own), faults)
    if source.is_file() and source.suffix.lower() in TABLES:
        return Source(None, _table(source, card, faults), faults)
    if source.is_dir():
        files, broken, _ = images_below(source)
        faults += broken
        if not files:
            raise UserError(f"{source}: no image in it; {kinds()}")
    elif source.is_file():
        files = [source]
    else:
        raise UserError(f"{source}: no such file or folder")
    return Source(len(files) + len(faults), _files(files, card, faults), faults)


def in_memory(images: Any, card: DatasetCard) -> Source:
    """Bring images in memory to the shape that the models take.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8, or a sequence of (H, W) or (H, W, C) ones of any size; C is 1 or 3.
        card: of the dataset that the models were trained on.

    Returns:
        The images, named by their places.

    Raises:
        UserError: none at all, or one is no image.
    """
    given = [np.asarray(image) for image in images]
    if not given:
        raise UserError("predict: no image was given")
    for place, pixels in enumerate(given):
        _check(pixels, f"image {place}")

    def parts() -> Iterator[ImageList]:
        for start in range(0, len(given), AT_ONCE):
            part = given[start : start + AT_ONCE]
            yield ImageList(np.stack([_flat(image, card) for image in part]), None, _places(start, len(part)))

    return Source(len(given), parts(), [])


def kinds() -> str:
    """Say how the names of image files end."""
    return f"images end in {', '.join(sorted(SUFFIXES))}"


def _files(files: list[Path], card: DatasetCard, faults: list[Fault]) -> Iterator[ImageList]:
    with ThreadPoolExecutor(_DECODERS) as pool:
        for start in range(0, len(files), AT_ONCE):
            part = files[start : start + AT_ONCE]
            found = list(pool.map(lambda file: _image(file, card), part))
            faults += [each for each in found if isinstance(each, Fault)]
            known = [
                (readable(file), each) for file, each in zip(part, found, strict=True) if not isinstance(each, Fault)
            ]
            yield _listed(known)


def _table(source: Path, card: DatasetCard, faults: list[Fault]) -> Iterator[ImageList]:
    rows = table_images(source, faults)
    while part := list(islice(rows, AT_ONCE)):
        yield _listed([(name, _shaped(in_channels(pixels, card.channels), card)) for name, pixels in part])


def _listed(found: list[tuple[str, NDArray[np.uint8]]]) -> ImageList:
    if not found:
        return ImageList(np.zeros((0, 1, 1, 1), np.uint8), None, [])
    return ImageList(np.stack([image for _, image in found]), None, [name for name, _ in found])


def _image(file: Path, card: DatasetCard) -> NDArray[np.uint8] | Fault:
    try:
        return _shaped(decode(file, card.channels), card)
    except UnreadableError as error:
        return Fault(readable(file), str(error))


def _split(source: Path, card: DatasetCard, split: str) -> Split:
    if split not in ("train", "val"):
        raise UserError(f"--split {split}: train or val; `fer-tune test` alone opens the held-out split")
    data = PreparedDataset.open(source)
    if data.card.shape != card.shape:
        raise UserError(
            f"{source}: its images are {data.card.shape}, the run's {card.shape} (height, width, channels); "
            f"prepare it with --size {card.height} --fit {card.fit} --channels {card.channels}"
        )
    if data.card.classes != card.classes:
        raise UserError(
            f"{source}: its classes are {', '.join(data.card.classes)}, the run's {', '.join(card.classes)}; "
            "predict the image files instead"
        )
    return data.train() if split == "train" else data.val()


def _sliced(own: Split) -> Iterator[ImageList]:
    sources = own.sources
    for start in range(0, len(own), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        yield ImageList(own.images[part], own.labels[part], sources[part])


def _check(pixels: NDArray[Any], name: str) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)):
        raise UserError(f"{name}: {pixels.dtype} {pixels.shape}; an image is (H, W), (H, W, 1) or (H, W, 3) of uint8")


def _flat(pixels: NDArray[Any], card: DatasetCard) -> NDArray[np.uint8]:
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return _shaped(in_channels(flat, card.channels), card)


def _places(start: int, count: int) -> list[str]:
    return [str(start + place) for place in range(count)]


def _shaped(pixels: NDArray[np.uint8], card: DatasetCard) -> NDArray[np.uint8]:
    return fitted(pixels, card.height, card.width, card.fit).reshape(card.shape)
