"""Small raw datasets in the layouts in which people have them, of noise and nobody's face, drawn by the tests."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SEVEN = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
EIGHT = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
VOTED = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


class Pen:
    """Draws images of noise, no two alike."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def pixels(self, size: tuple[int, int] = (24, 24), channels: int = 1) -> np.ndarray:
        """Return (H, W) or (H, W, 3) noise; ``size`` is width and height."""
        shape = (size[1], size[0]) if channels == 1 else (size[1], size[0], channels)
        return self.rng.integers(0, 256, shape, dtype=np.uint8)

    def image(self, path: Path, size: tuple[int, int] = (24, 24), channels: int = 1, **options: object) -> Path:
        """Draw one image file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.pixels(size, channels)).save(path, **options)
        return path

    def images(self, folder: Path, count: int, names: str = "{}.png", **options: object) -> None:
        """Draw several, numbered."""
        for number in range(count):
            self.image(folder / names.format(number), **options)

    def text(self, side: int = 48) -> str:
        """Return the pixels of an image as words."""
        return " ".join(map(str, self.pixels((side, side)).ravel()))

    def png(self) -> bytes:
        """Return the content of an image file."""
        stream = io.BytesIO()
        Image.fromarray(self.pixels()).save(stream, "PNG")
        return stream.getvalue()


def table(path: Path, head: str, rows: Iterable[Sequence[object]], separator: str = ",") -> Path:
    """Write a text table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [head, *(separator.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def pixel_csv(
    path: Path,
    codes: Iterable[int],
    per_code: int = 3,
    usages: Sequence[str] = ("Training", "PublicTest", "PrivateTest"),
) -> Path:
    """Write a csv like FER2013's; without ``usages`` one without that column."""
    pen = Pen()
    codes = list(codes)
    if usages:
        return table(
            path,
            "emotion,pixels,Usage",
            [(c, pen.text(), u) for u in usages for c in codes for _ in range(per_code)],
        )
    return table(path, "emotion,pixels", [(c, f'"{pen.text()}"') for c in codes for _ in range(per_code)])


def ferplus(
    root: Path, per_class: int = 4, *, header: bool = True, folders: str = "FER2013{}", csv: bool = True
) -> Path:
    """Draw FER+ as its script writes it; each split has one image most saw as unknown, one as NF and one undecided."""
    pen, number, whole = Pen(), 0, []
    wanted = [index for index in range(8) for _ in range(per_class)]
    for split, usage in (("Train", "Training"), ("Valid", "PublicTest"), ("Test", "PrivateTest")):
        rows = []
        for index in [*wanted, 8, 9, -1]:
            votes = [0] * 10
            if index < 0:
                votes[0] = votes[1] = 5
            else:
                votes[index], votes[(index + 1) % 8] = 7, 3
            name = f"fer{number:07d}.png"
            pen.image(root / folders.format(split) / name, (48, 48))
            rows.append([name, '"(0, 0, 48, 48)"', *votes])
            whole.append([usage, name, *votes])
            number += 1
        file = table(root / folders.format(split) / "label.csv", f"name,box,{VOTED}", rows)
        if not header:
            file.write_text(file.read_text().split("\n", 1)[1])
    if csv:
        table(root / "fer2013new.csv", f"Usage,Image name,{VOTED}", whole)
    return root


def affectnet(root: Path, per_code: int = 4, codes: int = 8, splits: Sequence[str] = ("train_set", "val_set")) -> Path:
    """Draw AffectNet as it is distributed: the first split has ``per_code`` images of each code, the others 2."""
    pen = Pen()
    for split in splits:
        for number in range(codes * (per_code if split == splits[0] else 2)):
            pen.image(root / split / "images" / f"{number}.jpg", (32, 32), 3)
            for kind, value in (("exp", str(number % codes)), ("val", "0.1"), ("aro", "-0.2")):
                path = root / split / "annotations" / f"{number}_{kind}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, np.array(value))
    return root


def kdef(
    root: Path, persons: Iterable[str] = ("F01", "F02", "M01", "M02"), *, flat: bool = False, suffix: str = ".JPG"
) -> Path:
    """Draw KDEF, both sessions, three angles."""
    pen = Pen()
    for session in "AB":
        for person in persons:
            for emotion in ("AF", "AN", "DI", "HA", "NE", "SA", "SU"):
                for angle in ("S", "HL", "FR"):
                    folder = root if flat else root / f"{session}{person}"
                    pen.image(folder / f"{session}{person}{emotion}{angle}{suffix}", (28, 38), 3)
    return root


def ck48(
    root: Path, persons: int = 6, emotions: Sequence[str] = ("anger", "contempt", "disgust", "fear", "happy")
) -> Path:
    """Draw CK+48: three nearly equal frames of each emotion of each person."""
    pen = Pen()
    for emotion in emotions:
        for person in range(persons):
            base = pen.pixels((48, 48)).astype(np.int16)
            for frame in range(3):
                path = root / emotion / f"S{10 + person:03d}_{frame:03d}_{14 + frame:08d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = pen.rng.integers(-3, 4, base.shape)
                Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8)).save(path)
    return root


def jaffe(root: Path, names: str = "{person}.{emotion}{k}.{number}.tiff") -> Path:
    """Draw JAFFE in one flat folder."""
    pen, number = Pen(), 0
    for person in ("KA", "KL", "KM", "KR", "TM"):
        for emotion in ("AN", "DI", "FE", "HA", "NE", "SA", "SU"):
            for k in (1, 2):
                number += 1
                pen.image(root / names.format(person=person, emotion=emotion, k=k, number=number))
    return root


def turned(path: Path, orientation: int, shade: int = 40) -> Path:
    """Save a photograph whose white bar is on top when it is shown as the EXIF orientation says; 30x40 then."""
    shown = np.full((40, 30, 3), shade, np.uint8)
    shown[:10] = 255
    undo = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    picture = Image.fromarray(shown)
    step = undo[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture if step is None else picture.transpose(step)).save(path, exif=exif)
    return path


def parquet(
    file: Path,
    labels: Sequence[object],
    *,
    names: Sequence[str] = (),
    image: str = "image",
    label: str = "label",
    plain: bool = False,
) -> Path:
    """Write a Parquet file as the Hugging Face hub has them.

    Args:
        file: where.
        labels: of the rows.
        names: of the classes, in the schema; none where there are none.
        image: column.
        label: column.
        plain: images are bytes rather than a struct of bytes and path.
    """
    pen = Pen(len(labels))
    cells = [pen.png() for _ in labels]
    images = cells if plain else [{"bytes": cell, "path": f"{number}.png"} for number, cell in enumerate(cells)]
    found = pa.table({image: images, label: list(labels)})
    if names:
        features = {image: {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}
        found = found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(found, file, row_group_size=5)
    return file


def tree(root: Path, folders: Iterable[str], count: int = 4, **options: object) -> Path:
    """Draw ``count`` images in each of the folders; return ``root``."""
    pen = Pen()
    for folder in folders:
        pen.images(root / folder, count, **options)
    return root


def grown(*levels: Iterable[str]) -> list[str]:
    """Return all paths through the levels."""
    paths = [""]
    for level in levels:
        paths = [f"{path}/{name}".lstrip("/") for path in paths for name in level]
    return paths
