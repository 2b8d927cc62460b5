"""The embedded dataset: invented characters with graded expressions, drawn in seconds, the same for the same seed.

Every picture of a character is in one split, so validation and test both ask for people the network has never seen.
They measure the same thing, and so validation says what to expect on test; a split at random over images would let a
network recognise the character, and would overstate both.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_tune.data.labels import EMOTIONS
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.writer import Record, check_out, write_dataset
from fer_tune.data.synthetic.characters import sample_characters, sample_sensors, sample_views
from fer_tune.data.synthetic.expressions import sample_action_units
from fer_tune.data.synthetic.faces import draw, expose
from fer_tune.errors import UserError

SMALLEST, LARGEST = 140, 1_000_000
"""Bounds of the size: every split needs some pictures of every emotion."""

PICTURES = 15
"""Pictures of each character, about."""

CLASS_SHARES: dict[str, float] = {
    "angry": 0.15,
    "disgust": 0.09,
    "fear": 0.14,
    "happy": 0.17,
    "neutral": 0.16,
    "sad": 0.15,
    "surprise": 0.14,
}
"""Chance of each emotion; disgust is rarer, as it is among photographs."""

SPLIT_SHARES: dict[str, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
"""Share of the characters in each split."""


class Gallery(NamedTuple):
    """Pictures of invented people.

    Attributes:
        images: uint8 (N, 48, 48).
        labels: int64 (N,), indices into :data:`~fer_tune.data.labels.EMOTIONS`.
        characters: int64 (N,), who each picture shows.
        intensity: float32 (N,), of the expression, in [0, 1]; 0 for neutral.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    characters: npt.NDArray[np.int64]
    intensity: npt.NDArray[np.float32]


def make_gallery(size: int, people: int, rng: np.random.Generator) -> Gallery:
    """Draw ``size`` pictures of ``people`` characters, in the order of the characters.

    Where the size allows, there is at least one picture of every emotion.
    """
    characters = np.arange(size) * people // size
    labels = rng.choice(len(EMOTIONS), size, p=[CLASS_SHARES[emotion] for emotion in EMOTIONS])
    present = min(size, len(EMOTIONS))
    labels[rng.permutation(size)[:present]] = np.arange(present)
    identity = sample_characters(people, rng)
    muscles, intensity = sample_action_units(labels, rng)
    views = sample_views(size, rng)
    images = draw({**{name: column[characters] for name, column in identity.items()}, **muscles, **views})
    return Gallery(expose(images, sample_sensors(size, rng), rng), labels, characters, intensity)


def synthesize(out: Path, *, size: int = 6000, seed: int = 0) -> DatasetCard:
    """Draw the embedded dataset and write it as a prepared dataset.

    Args:
        out: folder of the dataset; must not exist, or be empty.
        size: images in all, over train (70 %), val (15 %) and test (15 %).
        seed: the same seed and size give the same bytes.

    Returns:
        The card of the dataset.

    Raises:
        UserError: ``size`` or ``seed`` is out of its bounds, or ``out`` is taken or cannot be written.
    """
    if not SMALLEST <= size <= LARGEST:
        raise UserError(f"--size {size}: must be from {SMALLEST} to {LARGEST} images")
    if not 0 <= seed < 2**31:
        raise UserError(f"--seed {seed}: must be from 0 to {2**31 - 1}")
    check_out(Path(out))
    sizes = {split: round(size * share) for split, share in SPLIT_SHARES.items() if split != "train"}
    sizes = {"train": size - sum(sizes.values()), **sizes}
    return write_dataset(
        Path(out),
        {split: _records(split, sizes[split], seed) for split in SPLIT_SHARES},
        name="synthetic",
        source=f"cartoon faces drawn by fer-tune data synthesize --size {size} --seed {seed}",
        classes=EMOTIONS,
        splits={"policy": "by character: nobody is in two splits", "shares": SPLIT_SHARES, "seed": seed},
    )


def _records(split: str, size: int, seed: int) -> Iterator[Record]:
    """Yield the pictures of one split; each split has its own people and its own stream of chance."""
    rng = np.random.default_rng([seed, list(SPLIT_SHARES).index(split)])
    gallery = make_gallery(size, max(1, round(size / PICTURES)), rng)
    for place in range(size):
        label = int(gallery.labels[place])
        yield Record(
            gallery.images[place],
            label,
            f"{split}/{place:06d} {EMOTIONS[label]} {gallery.intensity[place]:.2f}",
            f"{split}-{gallery.characters[place]:05d}",
        )
