"""Finding and decoding image files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_tune.data.readers.base import Fault, Pixels, UnreadableError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})  # 8 bits a channel, or fewer


def decode(path: Path, channels: int) -> Pixels:
    """Decode an image file to (H, W) uint8 for one channel, (H, W, 3) for three; what is transparent turns white.

    Raises:
        UnreadableError: the file is empty, truncated, no image, or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as file:
            image: Image.Image = file
            if image.mode not in _MODES:
                raise UnreadableError(f"image of mode {image.mode}, not 8 bits a channel")
            if "A" in image.mode or "transparency" in image.info:
                front = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", front.size, "white"), front)
            mode = "L" if channels == 1 else "RGB"
            return np.asarray(image if image.mode == mode else image.convert(mode))
    except UnidentifiedImageError:
        raise UnreadableError("not an image" if path.stat().st_size else "empty file (0 bytes)") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UnreadableError(str(error) or type(error).__name__) from None


def image_files(folder: Path) -> tuple[list[Path], list[Fault], int]:
    """List the image files in ``folder`` by name, sorted.

    Returns:
        The files, the links that lead nowhere, and the number of other files passed over.
    """
    files, faults, others = [], [], 0
    for name in sorted(os.listdir(folder)):
        path = folder / name
        if name.startswith("."):
            continue
        if path.suffix.lower() not in SUFFIXES:
            others += 1
        elif path.is_file():
            files.append(path)
        elif path.is_symlink():
            faults.append(Fault(readable(path), "a link that leads nowhere"))
        else:
            others += 1
    return files, faults, others


def readable(path: Path) -> str:
    """Return ``path`` with forward slashes as valid UTF-8; bytes that are not are escaped."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
