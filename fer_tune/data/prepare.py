"""Raw dataset -> prepared dataset: read, split, clean, write; images stream through one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fer_tune.data.card import DatasetCard
from fer_tune.data.hygiene import LIST_FILE, ORDER, Hygiene
from fer_tune.data.readers import read_raw
from fer_tune.data.readers.base import Fault, Pixels, UnreadableError
from fer_tune.data.splits import assign
from fer_tune.data.writer import DatasetWriter, Record, check_out
from fer_tune.errors import UserError

_LISTED = 20  # unreadable files named in an error message


def prepare(
    source: Path,
    out: Path,
    *,
    name: str | None = None,
    format_name: str | None = None,
    keep_duplicates: bool = False,
    skip_unreadable: bool = False,
    val_fraction: float | None = None,
    seed: int = 0,
    size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetCard:
    """Prepare the raw dataset at ``source`` as ``out`` and return its card.

    Beside the splits and the card, ``out`` gets ``hygiene.csv``, which lists every duplicate, blank and skipped image.

    Args:
        source: a raw dataset in a format of :data:`fer_tune.data.readers.READERS`.
        out: where it shall stand; must not exist, or be an empty folder.
        name: name of the dataset, the reader's own where None.
        format_name: the format, recognised where None.
        keep_duplicates: keep images of train and val that stand in another split too.
        skip_unreadable: leave out what cannot be read, instead of stopping.
        val_fraction: share of train for validation where the dataset has no validation part, 0.1 where None.
        seed: which part of train that is.
        size: resize all images to this height and width in pixels, antialiased (Lanczos).
        progress: called with images done and images in all.

    Raises:
        UserError: ``source`` is no known dataset, images cannot be read (with a list), they differ in size, a split
            is empty, an option is out of its bounds, or ``out`` is taken or cannot be written.
    """
    if size is not None and not 8 <= size <= 1024:
        raise UserError(f"--size {size}: must lie between 8 and 1024 pixels")
    source = Path(source).expanduser()
    check_out(Path(out).expanduser())
    found_format, raw = read_raw(source, format_name)
    if raw.faults and not raw.samples:
        raise _unreadable(source, raw.faults, len(raw.faults))
    splits, validation = assign(raw.samples, raw.classes, val_fraction=val_fraction, seed=seed)
    hygiene = Hygiene(raw.classes, keep_duplicates=keep_duplicates)
    faults = list(raw.faults)
    total, done = len(raw.samples), 0
    with DatasetWriter(out, raw.classes) as writer:
        for split in ORDER:
            for sample in splits[split]:
                done += 1
                try:
                    image = raw.load(sample)
                except UnreadableError as error:
                    fault = Fault(sample.source, str(error))
                    faults.append(fault)
                    hygiene.unreadable[split].append(fault)
                else:
                    if hygiene.admit(split, sample.source, sample.label, image):
                        image = image if size is None else resized(image, size)
                        writer.add(split, Record(image, sample.label, sample.source, sample.group))
                if progress is not None:
                    progress(done, total)
        if faults and not skip_unreadable:
            raise _unreadable(source, faults, total + len(raw.faults))
        hygiene.write_list(writer.folder / LIST_FILE, raw.faults)
        return writer.finish(
            name=name or raw.name,
            source=f"{found_format}, {source.name}",
            splits={"policy": raw.policy, **validation},
            hygiene={**hygiene.report(), "unreadable_rows": len(raw.faults), "notes": raw.notes},
        )


def resized(image: Pixels, size: int) -> Pixels:
    """Return ``image``, (H, W) or (H, W, 3) uint8, at ``size`` x ``size``, antialiased (Lanczos)."""
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))


def _unreadable(source: Path, faults: list[Fault], total: int) -> UserError:
    listed = "\n".join(f"  {fault.source}: {fault.reason}" for fault in faults[:_LISTED])
    more = f"\n  and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
    return UserError(
        f"{source}: {len(faults)} of {total} images cannot be read; mend them, or leave them out with "
        f"--skip-unreadable\n{listed}{more}"
    )
