"""Small datasets, drawn by the tests that need them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.writer import Record, write_dataset

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def patterned(label: int, rng: np.random.Generator, *, size: int = 24, channels: int = 1, noise: float = 30.0):
    """Return one (size, size, channels) uint8 image: stripes whose direction tells the class, a random phase, noise."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    angle = np.pi * label / len(EMOTIONS)
    phase, contrast = rng.uniform(0, 2 * np.pi), rng.uniform(50, 90)
    wave = np.sin(2 * np.pi * 3 * (columns * np.cos(angle) + rows * np.sin(angle)) + phase)
    pixels = 128 + contrast * wave[..., None] + rng.normal(0, noise, (size, size, channels))
    return pixels.clip(0, 255).astype(np.uint8)


def tiny_dataset(
    path: Path,
    *,
    n_train: int = 140,
    n_val: int = 70,
    n_test: int = 70,
    size: int = 24,
    channels: int = 1,
    noise: float = 30.0,
    seed: int = 0,
    votes: bool = False,
) -> DatasetCard:
    """Write a tiny prepared dataset of seven classes, near balanced, that a small network learns in a few epochs.

    With ``votes`` seven of ten people see the label in an image, two the next class and one the one after that.
    """
    rng = np.random.default_rng(seed)

    def split(name: str, count: int):
        for index in range(count):
            label = index % len(EMOTIONS)
            image = patterned(label, rng, size=size, channels=channels, noise=noise)
            seen = [0] * len(EMOTIONS)
            for step, count in enumerate((7, 2, 1)):
                seen[(label + step) % len(EMOTIONS)] = count
            yield Record(image, label, f"{name}/{index}", votes=tuple(seen) if votes else ())

    records = {"train": split("train", n_train), "val": split("val", n_val), "test": split("test", n_test)}
    return write_dataset(
        path, records, name="tiny", source="drawn by a test", classes=EMOTIONS, splits={"policy": "drawn", "seed": seed}
    )


def draw_fer2013_folders(
    root: Path, per_class: int = 6, seed: int = 0, *, official_names: bool = True, private: bool = False
) -> Path:
    """Draw FER2013 as folders, ``<root>/{train,test}/<class>/*.png`` of 48x48 grey; return ``root``.

    Args:
        root: the folder to make.
        per_class: training images per class; the test folder has half as many per official test split.
        seed: of the pixels.
        official_names: name files ``Training_7.png``, ``PublicTest_8.png``, ...; else ``im7.png``.
        private: draw PrivateTest images too, in the test folder as the published copies have them.
    """
    rng = np.random.default_rng(seed)
    number = 0
    parts = [("train", "Training", per_class), ("test", "PublicTest", max(1, per_class // 2))]
    if private:
        parts.append(("test", "PrivateTest", max(1, per_class // 2)))
    for folder, prefix, count in parts:
        for label, name in enumerate(EMOTIONS):
            (root / folder / name).mkdir(parents=True, exist_ok=True)
            for _ in range(count):
                number += 1
                stem = f"{prefix}_{number}" if official_names else f"im{number}"
                image = patterned(label, rng, size=48)[..., 0]
                Image.fromarray(image).save(root / folder / name / f"{stem}.png")
    return root


def draw_fer2013_csv(
    file: Path,
    per_class: int = 4,
    seed: int = 0,
    *,
    columns: tuple[str, ...] = ("emotion", "pixels", "Usage"),
    usages: tuple[str, ...] = ("Training", "PublicTest", "PrivateTest"),
) -> Path:
    """Draw FER2013 as a csv with ``per_class`` rows per class and usage; return ``file``.

    ``columns`` is the header as written; names may be padded, in any order.
    """
    codes = {"angry": 0, "disgust": 1, "fear": 2, "happy": 3, "sad": 4, "surprise": 5, "neutral": 6}
    rng = np.random.default_rng(seed)
    lines = [",".join(columns)]
    for usage in usages:
        for label, name in enumerate(EMOTIONS):
            for _ in range(per_class):
                pixels = " ".join(map(str, patterned(label, rng, size=48).ravel()))
                values = {"emotion": str(codes[name]), "pixels": pixels, "usage": usage}
                lines.append(",".join(values[column.strip().lower()] for column in columns))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    return file
