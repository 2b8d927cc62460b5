"""Writing a prepared dataset: records stream in, one folder with its card comes out, whole or not at all.

Each split is an Arrow IPC file, uncompressed, of exactly one record batch, so that all of its images are one
contiguous block which a reader maps as a single ``(N, H, W, C)`` array. To stream into one batch, image bytes are
staged in a raw file first and copied from file to file; memory use does not grow with their number.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fer_tune.data.prepared.card import CARD_FILE, FORMAT_VERSION, SPLITS, DatasetCard, content_hash, split_file
from fer_tune.data.prepared.mapping import addresses_of
from fer_tune.errors import UserError

_CHUNK = 8 << 20  # bytes copied and hashed at once


class Record(NamedTuple):
    """One image on its way into a prepared dataset."""

    image: npt.NDArray[np.uint8]  # (H, W) or (H, W, C), C 1 or 3
    label: int  # index into the classes
    source: str  # where it came from, unique within the dataset
    group: str = ""  # images of one group (person, character) stay in one split
    votes: tuple[int, ...] = ()  # of several people who labelled it, a number per class; all have them, or none


class SplitSummary(NamedTuple):
    """What is known of a split once it is written."""

    counts: list[int]  # images per class
    digest: str
    size: int  # bytes of the file
    histogram: npt.NDArray[np.int64]  # (C, 256), pixels of each value
    votes: bool  # whether every image has votes


class SplitWriter:
    """Streams the records of one split into ``folder/<name>.arrow``.

    Args:
        folder: an existing folder.
        name: name of the split.
        shape: height, width and channels of every image.
        classes: names of the classes.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, int, int], classes: list[str]) -> None:
        self.name, self.shape, self.classes = name, shape, classes
        self._target = folder / split_file(name)
        self._staged = folder / f".{name}.raw"
        self._raw = self._staged.open("wb")
        self._labels: list[int] = []
        self._sources: list[str] = []
        self._groups: list[str] = []
        self._votes: list[tuple[int, ...]] = []
        self._digest = hashlib.sha256()  # of the pixels so far
        self._histogram = np.zeros((shape[2], 256), np.int64)

    def add(self, record: Record) -> None:
        """Append one record.

        Raises:
            ValueError: the image has another shape or type than the split, or the label is not a class.
        """
        image = record.image if record.image.ndim == 3 else record.image[..., None]
        if image.shape != self.shape or image.dtype != np.uint8:
            raise ValueError(f"{record.source}: image {image.shape} {image.dtype}, expected {self.shape} uint8")
        if not 0 <= record.label < len(self.classes):
            raise ValueError(f"{record.source}: label {record.label} of {len(self.classes)} classes")
        image = np.ascontiguousarray(image)
        self._raw.write(image.data)
        self._digest.update(image.data)
        for channel, counts in enumerate(self._histogram):
            counts += np.bincount(image[..., channel].ravel(), minlength=256)
        self._labels.append(record.label)
        self._sources.append(record.source)
        self._groups.append(record.group)
        if record.votes:
            self._votes.append(record.votes)

    def finish(self) -> SplitSummary:
        """Write the Arrow file and return its summary."""
        self._raw.close()
        width = int(np.prod(self.shape))
        rows, codes = len(self._labels), np.asarray(self._labels, "<i2")
        schema = pa.schema(
            [("image", pa.binary(width)), ("label", pa.int16()), ("group", pa.string()), ("source", pa.string())],
            metadata={"format_version": str(FORMAT_VERSION), "shape": ",".join(map(str, self.shape))},
        )
        pixels = addresses_of(self._staged)  # reading it would fill the memory with its pages
        images = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), rows, [None, pixels])
        labels = pa.Int16Array.from_buffers(pa.int16(), rows, [None, pa.py_buffer(codes)])
        columns = [images, labels, _strings(self._groups), _strings(self._sources)]
        if voted := bool(self._votes) and len(self._votes) == rows:
            schema = schema.append(pa.field("votes", pa.list_(pa.uint16(), len(self.classes))))
            flat = np.asarray(self._votes, np.uint16).ravel()
            counts_of = pa.UInt16Array.from_buffers(pa.uint16(), flat.size, [None, pa.py_buffer(flat)])
            columns.append(pa.FixedSizeListArray.from_arrays(counts_of, len(self.classes)))
        batch = pa.record_batch(columns, schema=schema)
        with (
            self._target.open("wb") as file,
            pa.ipc.new_file(_Copying(file, self._staged, pixels), schema) as writer,
        ):
            writer.write_batch(batch)
        _add_columns(self._digest, batch)
        self.discard()
        counts = np.bincount(codes, minlength=len(self.classes)).tolist()
        return SplitSummary(counts, self._digest.hexdigest(), self._target.stat().st_size, self._histogram, voted)

    def discard(self) -> None:
        """Close and remove the staged bytes."""
        with suppress(OSError):  # on a full disk, closing flushes and fails again
            self._raw.close()
        self._staged.unlink(missing_ok=True)


class _Copying:
    """The file that Arrow writes to; takes the pixels from the staged file, so that they are never mapped."""

    closed = False

    def __init__(self, file: BinaryIO, staged: Path, pixels: pa.Buffer) -> None:
        self._file, self._staged, self._pixels = file, staged, pixels

    def write(self, buffer: pa.Buffer | bytes) -> None:
        if isinstance(buffer, pa.Buffer) and buffer.size and buffer.address == self._pixels.address:
            with self._staged.open("rb") as staged:
                shutil.copyfileobj(staged, self._file, _CHUNK)
        else:
            self._file.write(buffer)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.flush()


def batch_digest(batch: pa.RecordBatch) -> str:
    """Return the SHA-256 (hex) of a split's content: image bytes, labels, groups, sources, votes, in order."""
    digest = hashlib.sha256()
    pixels = memoryview(batch.column("image").buffers()[1])
    for start in range(0, len(pixels), _CHUNK):
        digest.update(pixels[start : start + _CHUNK])
    _add_columns(digest, batch)
    return digest.hexdigest()


def _add_columns(digest: hashlib._Hash, batch: pa.RecordBatch) -> None:
    """Add labels, groups and sources to the digest of the pixels."""
    labels = batch.column("label")
    digest.update(memoryview(labels.buffers()[1])[: 2 * len(labels)])
    for column in ("group", "source"):
        digest.update("\0".join(batch.column(column).to_pylist()).encode())
    if "votes" in batch.schema.names:
        votes = batch.column("votes").flatten()
        digest.update(memoryview(votes.buffers()[1])[: votes.nbytes])


class DatasetWriter:
    """Writes a prepared dataset into a hidden folder beside ``out`` and renames it at the end.

    Use as a context manager: leaving it without :meth:`finish` removes everything written, so that a half-written
    dataset never stands under the final name.

    Args:
        out: where the dataset shall stand; must not exist, or be an empty folder.
        classes: names of the classes.

    Raises:
        UserError: ``out`` holds something already, or its parent cannot be written.
    """

    def __init__(self, out: Path, classes: Iterable[str]) -> None:
        self.out = Path(out).expanduser()
        self.classes = list(classes)
        check_out(self.out)
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=f".{self.out.name}.", dir=self.out.parent))
        except OSError as error:
            raise UserError(f"{self.out}: cannot be written: {error.strerror}; choose another --out") from None
        self._writers: dict[str, SplitWriter] = {}
        self._shape: tuple[int, int, int] | None = None

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.discard()
        shutil.rmtree(self.folder, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UserError(
                f"{self.out}: {error.strerror} while writing; nothing is left of it; free some space or choose "
                "another --out"
            ) from None

    def add(self, split: str, record: Record) -> None:
        """Append one record to ``split``.

        Raises:
            UserError: the image is of another shape than those before it.
        """
        image = record.image
        shape = (image.shape[0], image.shape[1], image.shape[2] if image.ndim == 3 else 1)
        if self._shape is None:
            self._shape = shape
        elif shape != self._shape:
            raise UserError(
                f"{record.source}: image of {_size(shape)}, but those before it are {_size(self._shape)}; "
                "all images of a dataset must have one size: choose it with --size"
            )
        if split not in self._writers:
            self._writers[split] = SplitWriter(self.folder, split, shape, self.classes)
        self._writers[split].add(record)

    def finish(
        self,
        *,
        name: str,
        source: str,
        splits: Mapping[str, Any],
        hygiene: Mapping[str, Any],
        fit: Literal["pad", "crop", "stretch"] = "pad",
    ) -> DatasetCard:
        """Write the card, give the dataset its final name and return the card.

        Raises:
            UserError: a split is empty, or something has come to stand under the final name.
        """
        empty = [split for split in SPLITS if split not in self._writers]
        if empty or self._shape is None:
            raise UserError(f"{source}: no images for {' and '.join(empty)}; a dataset needs {', '.join(SPLITS)}")
        done = {split: self._writers[split].finish() for split in SPLITS}
        mean, std = pixel_statistics(done["train"].histogram)
        hashes = {split: summary.digest for split, summary in done.items()}
        card = DatasetCard(
            name=name,
            source=source,
            classes=self.classes,
            height=self._shape[0],
            width=self._shape[1],
            channels=self._shape[2],
            fit=fit,
            counts={split: dict(zip(self.classes, s.counts, strict=True)) for split, s in done.items()},
            pixel_mean=mean,
            pixel_std=std,
            votes=done["train"].votes,
            splits=dict(splits),
            hygiene=dict(hygiene),
            split_hashes=hashes,
            split_bytes={split: summary.size for split, summary in done.items()},
            content_hash=content_hash(self.classes, self._shape, hashes),
        )
        (self.folder / CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
        self.folder.chmod(0o755)  # mkdtemp makes it private
        check_out(self.out)
        self.folder.rename(self.out)  # an empty folder is replaced
        return card


def write_dataset(
    out: Path,
    records: Mapping[str, Iterable[Record]],
    *,
    name: str,
    source: str,
    classes: Iterable[str],
    splits: Mapping[str, Any] | None = None,
    hygiene: Mapping[str, Any] | None = None,
) -> DatasetCard:
    """Write a whole prepared dataset; ``records`` maps ``train``, ``val`` and ``test`` to their records, streamed.

    Args:
        out: where it shall stand; must not exist, or be an empty folder.
        records: split -> records.
        name: short name of the dataset, such as ``synthetic``.
        source: what it was made from, in words.
        classes: names of the classes; a record's label is an index into them.
        splits: the split policy and its seed, for the card.
        hygiene: what was found and dropped, for the card.

    Raises:
        UserError: ``out`` is taken or cannot be written, a split is empty, or images differ in size.
    """
    with DatasetWriter(out, classes) as writer:
        for split, stream in records.items():
            for record in stream:
                writer.add(split, record)
        return writer.finish(name=name, source=source, splits=splits or {}, hygiene=hygiene or {})


def pixel_statistics(histogram: npt.NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel, in [0, 1], from counts of pixel values of shape (C, 256)."""
    values = np.arange(256) / 255
    weights = histogram / histogram.sum(axis=1, keepdims=True)
    mean = weights @ values
    variance = (weights * (values - mean[:, None]) ** 2).sum(axis=1)
    return mean.tolist(), np.sqrt(variance).tolist()


def check_out(out: Path) -> None:
    """Raise a UserError unless ``out`` is free: it does not exist, or is an empty folder."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: exists already; choose another --out, or remove it first")


def _strings(values: list[str]) -> pa.StringArray:
    data = [value.encode() for value in values]  # pa.array would do the same, after importing pandas
    offsets = np.cumsum([0, *map(len, data)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(data), pa.py_buffer(offsets), pa.py_buffer(b"".join(data)))


def _size(shape: tuple[int, int, int]) -> str:
    return f"{shape[1]}x{shape[0]} {'grey' if shape[2] == 1 else 'colour'}"
