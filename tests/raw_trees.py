"""Raw datasets in their published layouts, drawn by the tests that need them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from drawing import EMOTIONS, patterned
from PIL import Image

RAF_CODES = {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}
FERG_EMOTIONS = {
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprise",
}


def draw_raf_official(root: Path, per_class: int = 4, *, size: int = 100) -> Path:
    """Draw RAF-DB as its authors hand it out, in ``root/basic``; the test has half as many images. Return ``root``."""
    rng = np.random.default_rng(1)
    aligned, labels = root / "basic" / "Image" / "aligned", root / "basic" / "EmoLabel"
    aligned.mkdir(parents=True)
    labels.mkdir()
    lines = []
    for part, digits, count in (("train", 5, per_class), ("test", 4, max(1, per_class // 2))):
        number = 0
        for code, emotion in RAF_CODES.items():
            for _ in range(count):
                number += 1
                stem = f"{part}_{number:0{digits}d}"
                image = patterned(EMOTIONS.index(emotion), rng, size=size, channels=3)
                Image.fromarray(image).save(aligned / f"{stem}_aligned.jpg", quality=95)
                lines.append(f"{stem}.jpg {code}")
    (labels / "list_patition_label.txt").write_text("\n".join(lines))  # no newline at the end
    return root


def draw_raf_folders(root: Path, per_class: int = 4, *, size: int = 100) -> Path:
    """Draw RAF-DB as folders, in ``root/DATASET``, with the csv files beside; return ``root``."""
    rng = np.random.default_rng(1)
    for part, count in (("train", per_class), ("test", max(1, per_class // 2))):
        number, rows = 0, ["image,label"]
        for code, emotion in RAF_CODES.items():
            folder = root / "DATASET" / part / str(code)
            folder.mkdir(parents=True)
            for _ in range(count):
                number += 1
                name = f"{part}_{number:05d}_aligned.jpg"
                image = patterned(EMOTIONS.index(emotion), rng, size=size, channels=3)
                Image.fromarray(image).save(folder / name, quality=95)
                rows.append(f"{name},{code}")
        (root / f"{part}_labels.csv").write_text("\n".join(rows) + "\n")
    return root


def draw_ferg(
    root: Path,
    per_emotion: int = 2,
    characters: tuple[str, ...] = ("aia", "bonnie", "jules", "malcolm", "mery", "ray"),
    *,
    size: int = 64,
) -> Path:
    """Draw FERG-DB: RGBA, transparent around a disc in the middle; return ``root``."""
    rng = np.random.default_rng(2)
    rows, columns = np.mgrid[0:size, 0:size] - size / 2
    opaque = (((rows**2 + columns**2) < (0.4 * size) ** 2) * 255).astype(np.uint8)
    for character in characters:
        for name, emotion in FERG_EMOTIONS.items():
            folder = root / character / f"{character}_{name}"
            folder.mkdir(parents=True)
            for number in range(1, per_emotion + 1):
                face = patterned(EMOTIONS.index(emotion), rng, size=size, channels=3)
                image = np.concatenate([face, opaque[..., None]], axis=2)
                Image.fromarray(image).save(folder / f"{character}_{name}_{number}.png")
    return root


def draw_tree(
    root: Path,
    folders: dict[str, int],
    *,
    size: tuple[int, int] = (20, 20),
    channels: int = 3,
    seed: int = 0,
    names: str = "{number}.png",
) -> Path:
    """Draw ``folders[f]`` images of noise in each folder ``f`` below ``root``; return ``root``.

    Args:
        size: height and width.
        names: of the files, numbered on through all folders.
    """
    rng = np.random.default_rng(seed)
    number = 0
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            number += 1
            pixels = rng.integers(0, 256, (*size, channels), np.uint8)
            Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(
                root / folder / names.format(number=number)
            )
    return root
