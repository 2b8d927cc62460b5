"""Finding and decoding image files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from fer_tune.data.preparing.readers.base import Fault, Pixels, UnreadableError
from fer_tune.filing.first_bytes import told_by_content

_AVIF = frozenset({".avif"}) if features.check("avif") else frozenset()  # Pillow may be built without
SUFFIXES = _AVIF | {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
_JUNK = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information", "__pycache__"})  # of systems
_PROBED = 20  # image files whose headers are tried, until one can be read
EMPTY = "empty file (0 bytes)"
"""What is said of a file without content."""
_GREY = frozenset({"1", "L", "LA"})
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})  # 8 bits a channel, or fewer


def decode(file: Path | bytes, channels: int | None = None) -> Pixels:
    """Decode an image as a person sees it: turned as its EXIF orientation says, what is transparent white.

    Args:
        file: path of the file, or its content.
        channels: 1 or 3; None leaves grey images grey.

    Returns:
        (H, W) uint8 for one channel, (H, W, 3) for three.

    Raises:
        UnreadableError: the file is empty, truncated, no image, or has more than 8 bits a channel.
    """
    try:
        with Image.open(BytesIO(file) if isinstance(file, bytes) else file) as opened:
            if opened.mode not in _MODES:
                raise UnreadableError(f"image of mode {opened.mode}, not 8 bits a channel")
            image = _upright(opened)
            if "A" in image.mode or "transparency" in image.info:
                front = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", front.size, "white"), front)
            mode = "L" if channels == 1 or (channels is None and opened.mode in _GREY) else "RGB"
            return np.asarray(image if image.mode == mode else image.convert(mode))
    except UnidentifiedImageError:
        size = len(file) if isinstance(file, bytes) else file.stat().st_size
        told = told_by_content(file) if size and isinstance(file, Path) else ""
        raise UnreadableError((f"not an image, but {told}" if told else "not an image") if size else EMPTY) from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UnreadableError(str(error) or type(error).__name__) from None


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # what is truncated is told here
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF raises anything; viewers show such a picture as it is stored
        return image


def in_channels(image: Pixels, channels: int) -> Pixels:
    """Return ``image``, (H, W) or (H, W, 3), with 1 or 3 channels: grey is repeated, colour becomes luminance."""
    if image.ndim == 2:
        return image if channels == 1 else np.repeat(image[..., None], 3, axis=2)
    return image if channels == 3 else np.asarray(Image.fromarray(image).convert("L"))


def header(path: Path) -> tuple[int, int, bool] | None:
    """Return width, height and whether it is grey, read from the header of an image file; None where that fails."""
    try:
        with Image.open(path) as file:
            return file.width, file.height, file.mode in _GREY
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return None


def coloured(files: Iterable[Path]) -> bool:
    """Tell whether the first image whose header can be read is coloured."""
    found = next((info for file in islice(files, _PROBED) if (info := header(file))), None)
    return found is not None and not found[2]


def channels_of(files: Iterable[Path]) -> Literal[1, 3]:
    """Return 3 where the first image whose header can be read is coloured, else 1."""
    return 3 if coloured(files) else 1


def is_junk(name: str) -> bool:
    """Tell whether a file or folder is one that operating systems and file servers leave behind, or hidden."""
    return name.startswith(".") or name.lower() in _JUNK or name.lower() in ("thumbs.db", "desktop.ini")


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether ``entry`` is a folder or a link to one; a link that leads in a circle is none."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def image_files(folder: Path) -> tuple[list[Path], list[Fault], int]:
    """List the image files in ``folder`` by name, sorted; folders in it are not looked into.

    Returns:
        The files, the links that lead nowhere, and the number of other files passed over.
    """
    files, faults, others = [], [], 0
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
            others += not is_folder(entry)
        elif os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file():
            files.append(path)
        elif is_folder(entry):
            continue
        elif entry.is_symlink():
            faults.append(Fault(readable(path), "a link that leads nowhere"))
        else:
            others += 1
    return files, faults, others


def images_below(folder: Path, above: tuple[str, ...] = ()) -> tuple[list[Path], list[Fault], int]:
    """List the image files in ``folder`` and the folders in it, as :func:`image_files` does, links followed.

    A link to one of the folders above it would never end; it is one of the faults.

    Args:
        folder: where to look.
        above: real paths of the folders that led here.
    """
    files, faults, others = image_files(folder)
    trail = (*above, os.path.realpath(folder))
    for inner in folders_in(folder):
        if os.path.realpath(inner) in trail:
            faults.append(Fault(readable(inner), "a link back to a folder above it"))
            continue
        more, broken, passed = images_below(inner, trail)
        files, faults, others = files + more, faults + broken, others + passed
    return files, faults, others


def folders_in(folder: Path) -> list[Path]:
    """List the folders in ``folder`` by name, sorted, but not the hidden ones, and not ``__MACOSX`` or ``@eaDir``."""
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if not is_junk(entry.name) and is_folder(entry))


def readable(path: Path | str) -> str:
    """Return a path (with forward slashes), or a text with file names, as valid UTF-8; other bytes are escaped."""
    return os.fsencode(path.as_posix() if isinstance(path, Path) else path).decode("utf-8", "backslashreplace")
