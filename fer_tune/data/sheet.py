"""Contact sheets: what a dataset looks like, and what augmentation does to it, as one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.store import Split
from fer_tune.errors import UserError

_CELL = 96  # pixels a side of a picture on the sheet
_GAP = 4
_LINE = 22  # height of a line of text
_MARGIN = 110  # width of the column of class names

Pictures = list[npt.NDArray[np.uint8]]  # each (H, W, C)


def samples_sheet(split: Split, card: DatasetCard, *, per_class: int = 8, seed: int = 0) -> Image.Image:
    """Draw a row of random samples per class, with the class's name and number of images.

    Args:
        split: where the images are.
        card: of the dataset.
        per_class: images in a row; a class with fewer shows all.
        seed: which ones.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for label, name in enumerate(card.classes):
        places = np.flatnonzero(split.labels == label)
        chosen = np.sort(rng.permutation(places)[:per_class])
        rows.append((f"{name}\n{len(places):,}", [split.images[place] for place in chosen]))
    return _sheet(rows, [f"{split.name}: {len(split):,} images of {card.width}x{card.height}"], per_class)


def augmentation_sheet(
    split: Split, card: DatasetCard, strength: float, *, transforms: str = "all", draws: int = 3, seed: int = 0
) -> Image.Image:
    """Draw one face per class, as it is and augmented at a third, two thirds and all of ``strength``.

    Args:
        split: where the images are.
        card: of the dataset.
        strength: the strongest, in (0, 1].
        transforms: what augmentation does, see :func:`fer_tune.data.batching.augmentation.draw`.
        draws: pictures at each strength.
        seed: which faces, and what is drawn.

    Raises:
        UserError: the strength is out of its bounds, or a transform does nothing to such images.
    """
    import torch

    from fer_tune.data.batching import augmentation
    from fer_tune.data.batching.suiting import check_suits

    if not 0 < strength <= 1:
        raise UserError(f"--augmentation {strength:g}: must lie between 0 and 1, 0 excluded")
    check_suits({"transforms": transforms}, card, "--")
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    present = [label for label in range(len(card.classes)) if (split.labels == label).any()]
    faces = np.stack([split.images[rng.choice(np.flatnonzero(split.labels == label))] for label in present])
    images = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
    columns, headings = [faces], ["as it is"]
    for share in (1 / 3, 2 / 3, 1):
        for draw in range(draws):
            parameters = augmentation.draw(len(faces), strength * share, generator, transforms, card.channels)
            changed = augmentation.apply(images, parameters).permute(0, 2, 3, 1)
            columns.append((changed * 255).round().to(torch.uint8).numpy())
            headings.append("" if draw else f"{strength * share:.2g}")
    rows = [(card.classes[label], [column[row] for column in columns]) for row, label in enumerate(present)]
    return _sheet(rows, headings, len(columns))


def save(sheet: Image.Image, file: Path) -> None:
    """Write ``sheet`` as a PNG.

    Raises:
        UserError: the file is not named .png, or cannot be written.
    """
    if file.suffix.lower() != ".png":
        raise UserError(f"--out {file}: the picture is a PNG; name it {file.name}.png")
    try:
        sheet.save(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror or error}; choose another --out") from None


def _sheet(rows: list[tuple[str, Pictures]], headings: list[str], columns: int) -> Image.Image:
    """Draw rows of pictures, each after its text, below headings over the columns (the last may run on)."""
    step = _CELL + _GAP
    sheet = Image.new("RGB", (_MARGIN + columns * step, _LINE + len(rows) * step), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, heading in enumerate(headings):
        pen.text((_MARGIN + column * step, 3), heading, "black", font)
    for row, (text, pictures) in enumerate(rows):
        top = _LINE + row * step
        pen.text((4, top + _CELL // 3), text, "black", font)
        for column, picture in enumerate(pictures):
            sheet.paste(_fitted(picture), (_MARGIN + column * step, top))
    return sheet


def _fitted(picture: npt.NDArray[np.uint8]) -> Image.Image:
    """Return one (H, W, C) picture, its longer side as long as a cell."""
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    factor = _CELL / max(image.size)
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor)))).convert("RGB")
