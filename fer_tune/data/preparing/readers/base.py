"""What a reader of one raw format gives: a list of samples, and a way to load the pixels of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class UnreadableError(Exception):
    """One entry of a raw dataset has no usable image; the message says why."""


class Sample(NamedTuple):
    """One entry of a raw dataset, its pixels not loaded yet."""

    source: str  # path below the dataset's root, or file:line; UTF-8, unique
    label: int  # index into the classes
    part: str  # train, val or test, as the publisher has it; "" where the dataset is one undivided set
    place: Any  # what the reader's `load` needs: a path, an offset
    group: str = ""  # images of one group (person, character) belong into one split
    votes: tuple[int, ...] = ()  # of several people who saw it, one number per class; where the dataset tells them


class Fault(NamedTuple):
    """One entry that cannot be used."""

    source: str
    reason: str


@dataclass(frozen=True)
class RawDataset:
    """A raw dataset as its reader found it.

    Attributes:
        name: short name, such as ``fer2013``; what is compared with published figures goes by it, so that a reader
            gives a dataset's name by its content alone, and else the folder's.
        classes: a sample's label is an index into it.
        samples: in an order that does not depend on the file system.
        load: sample -> (H, W) or (H, W, C) uint8; raises :class:`UnreadableError`.
        aligned: the same, with the face turned and scaled by its landmarks; None where the dataset has none.
        is_cut: the pictures are of one face each, cut out already: they are aligned only where that is asked for, as
            published figures are for them as they are.
        policy: where the parts come from, in one sentence.
        channels: 1 where all images are grey, else 3; a grey image among coloured ones is taken as it is.
        faults: entries that are already known to be unusable.
        notes: anything else that a user should know, one sentence each.
        warnings: what a user must know before trusting a figure, one sentence each.
        files: files that were read beside the samples' own (where a sample's place is a path): tables, lists.
        unlabelled: files and folders with images that have no label, to be predicted.
        people: what the samples' groups are and how they are known, where the layout tells; "" where it does not.
    """

    name: str
    classes: tuple[str, ...]
    samples: list[Sample]
    load: Callable[[Sample], Pixels]
    policy: str
    channels: Literal[1, 3] = 1
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)
    people: str = ""
    aligned: Callable[[Sample], Pixels] | None = None
    is_cut: bool = False


class Reader(Protocol):
    """One raw format: a module with these names."""

    FORMAT: str
    """Name of the format, as ``--format`` takes it."""
    NEEDS: str
    """What is looked for, in one line."""

    def recognises(self, path: Path) -> bool:
        """Tell whether ``path`` looks like this format; cheap, opens no images."""

    def read(self, path: Path) -> RawDataset:
        """Scan ``path``.

        Raises:
            UserError: it is not this format after all, with the file and the cure.
        """
