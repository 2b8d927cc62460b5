"""Reading a prepared dataset: a folder with ``dataset.json`` and one memory-mapped Arrow IPC file per split.

Opening copies nothing: the images of a split are one read-only array over the file's pages, which every process on a
machine shares. Writing is in :mod:`fer_tune.data.prepared.writer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fer_tune.data.prepared import remote
from fer_tune.data.prepared.card import CARD_FILE, SPLITS, DatasetCard, permitted, read_card, split_file
from fer_tune.data.prepared.mapping import as_memory
from fer_tune.data.prepared.writer import batch_digest
from fer_tune.errors import UserError
from fer_tune.filing.uris import as_uri, local_path, pinned


class Split:
    """One split of a prepared dataset, memory-mapped.

    Attributes:
        name: ``train``, ``val`` or ``test``.
        images: (N, H, W, C) uint8, a read-only view of the mapped file.
        labels: (N,) int64, indices into the card's classes.

    Raises:
        UserError: the file is damaged or does not fit the card.
    """

    def __init__(self, folder: Path, name: str, card: DatasetCard) -> None:
        self.name = name
        self._folder, self._card = folder, card
        file = folder / split_file(name)
        try:
            with permitted(folder), as_memory(file) as mapped:  # the buffers keep it alive
                reader = pa.ipc.open_file(mapped)
                self._batch = reader.get_batch(0)
                batches = reader.num_record_batches
            pixels, labels = self._batch.column("image"), self._batch.column("label")
        except (pa.ArrowException, OSError, KeyError, IndexError, ValueError) as error:
            raise _damaged(file, f"not a readable Arrow file ({error})") from None
        width = int(np.prod(card.shape))
        if batches != 1 or pixels.type != pa.binary(width) or len(pixels) != card.images(name):
            raise _damaged(
                file,
                f"{len(pixels)} images of {pixels.type}, but {CARD_FILE} says {card.images(name)} of {width} bytes",
            )
        start = pixels.offset * width
        flat = np.frombuffer(pixels.buffers()[1], np.uint8)[start : start + len(pixels) * width]
        self.images: npt.NDArray[np.uint8] = flat.reshape(len(pixels), *card.shape)
        codes = np.frombuffer(labels.buffers()[1], "<i2")[labels.offset : labels.offset + len(labels)]
        self.labels: npt.NDArray[np.int64] = codes.astype(np.int64)  # pyarrow's own to_numpy would import pandas
        if len(self.labels) and not (self.labels.min() >= 0 and self.labels.max() < len(card.classes)):
            raise _damaged(file, "a label is no class")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({self.name!r}, {len(self)} images of {self.images.shape[1:]})"

    def __reduce__(self) -> tuple[type[Split], tuple[Any, ...]]:
        return Split, (self._folder, self.name, self._card)  # another process maps the file, nothing is copied

    @property
    def sources(self) -> list[str]:
        """Where each image came from, read on demand."""
        found: list[str] = self._batch.column("source").to_pylist()
        return found

    @property
    def groups(self) -> list[str]:
        """The group of each image (empty where the dataset has none), read on demand."""
        found: list[str] = self._batch.column("group").to_pylist()
        return found

    @property
    def votes(self) -> npt.NDArray[np.uint16] | None:
        """How many people saw which class in each image, (N, classes); None where the dataset does not tell."""
        if "votes" not in self._batch.schema.names:
            return None
        flat = np.asarray(self._batch.column("votes").flatten().to_numpy(), np.uint16)
        return flat.reshape(len(self), len(self._card.classes))

    def verify(self) -> None:
        """Read the whole split and compare its SHA-256 with the card's (about a second per gigabyte).

        Raises:
            UserError: they differ.
        """
        if batch_digest(self._batch) != self._card.split_hashes[self.name]:
            raise _damaged(self._folder / split_file(self.name), "its content does not fit the hash on record")


@dataclass(frozen=True)
class PreparedDataset:
    """A prepared dataset on this machine; small to pickle, each process maps the splits for itself.

    Attributes:
        path: the folder on this machine; for a URI, where it was fetched to.
        card: what it holds.
        location: what another machine can open it by: the URI, pinned to this content, else the path.
    """

    path: Path
    card: DatasetCard
    location: str = ""

    @classmethod
    def open(cls, path: str | Path) -> PreparedDataset:
        """Open the prepared dataset at ``path``; checks the card and the size of every file, reads no pixels.

        Args:
            path: a folder, or a URI (``s3://``, ``gs://``, ...), which is fetched once per machine and then mapped
                (see :mod:`fer_tune.data.prepared.remote`).

        Raises:
            UserError: there is none (with what was looked for), it is damaged, or a newer fer-tune wrote it.
        """
        uri = as_uri(path)
        folder = remote.fetch(uri, _verified) if uri else local_path(path).expanduser().resolve()
        card = read_card(folder)
        for split in SPLITS:
            file = folder / split_file(split)
            if not file.is_file():
                raise UserError(f"{file}: missing; copy the dataset again or prepare it again")
            size, expected = file.stat().st_size, card.split_bytes.get(split)
            if size != expected:
                raise _damaged(file, f"{size} bytes, but {CARD_FILE} says {expected}")
        return cls(folder, card, pinned(uri, card.content_hash) if uri else str(folder))

    def check_content(self, content_hash: str, cure: str) -> None:
        """See that this is the dataset that a run is on: one that was prepared anew may lie in the same place.

        Args:
            content_hash: of the run's dataset.
            cure: what a user can do, in an imperative.

        Raises:
            UserError: it is another one.
        """
        if self.card.content_hash != content_hash:
            raise UserError(
                f"{self.location or self.path}: not the dataset of this run: its content hash is "
                f"{self.card.content_hash[:12]}, the run's is {content_hash[:12]}, so it was prepared anew from other "
                f"images or in another way, or is another one; {cure}"
            )

    def train(self) -> Split:
        """Map the training split."""
        return Split(self.path, "train", self.card)

    def val(self) -> Split:
        """Map the validation split."""
        return Split(self.path, "val", self.card)

    def open_test(self) -> Split:
        """Map the held-out split, the only door to it; verifies its content, so that a result is about what it names.

        The search never calls this; ``fer-tune test`` does, and records it.
        """
        split = Split(self.path, "test", self.card)
        split.verify()
        return split

    def verify(self) -> None:
        """Verify the content of train and val against their hashes; the held-out split is verified when opened.

        Raises:
            UserError: a file is damaged.
        """
        self.train().verify()
        self.val().verify()


def _verified(folder: Path, card: DatasetCard) -> None:
    """Compare every split in ``folder``, the held-out one too, with its hash: of that one nothing else is read."""
    for split in SPLITS:
        Split(folder, split, card).verify()


def _damaged(file: Path, why: str) -> UserError:
    return UserError(f"{file}: damaged: {why}; copy the dataset again or prepare it again")
