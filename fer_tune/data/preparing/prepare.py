"""Raw dataset -> prepared dataset: read, split, clean, write; images stream through one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.writer import DatasetWriter, Record, check_out
from fer_tune.data.preparing.findings import LIST_FILE, write_findings
from fer_tune.data.preparing.hygiene import ORDER, Hygiene
from fer_tune.data.preparing.readers import read_raw
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample, UnreadableError
from fer_tune.data.preparing.readers.images import in_channels, readable
from fer_tune.data.preparing.splits import SplitOptions, assign
from fer_tune.errors import UserError

_LISTED = 20  # unreadable files named in an error message


def prepare(
    source: Path,
    out: Path,
    *,
    name: str | None = None,
    format_name: str | None = None,
    splits: SplitOptions | None = None,
    keep_duplicates: bool = False,
    drop_near_duplicates: bool = False,
    skip_unreadable: bool = False,
    size: int | None = None,
    channels: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetCard:
    """Prepare the raw dataset at ``source`` as ``out`` and return its card.

    Beside the splits and the card, ``out`` gets ``hygiene.csv``, which lists every duplicate, near-duplicate, blank and
    skipped image. No more than one image is held in memory, and some hundred bytes about each.

    Args:
        source: a raw dataset in a format of :data:`fer_tune.data.preparing.readers.READERS`.
        out: where it shall stand; must not exist, or be an empty folder.
        name: name of the dataset, the reader's own where None.
        format_name: the format, recognised where None.
        splits: how to divide what the publisher left undivided.
        keep_duplicates: keep images of train and val that stand in another split too.
        drop_near_duplicates: drop those that stand in another split almost.
        skip_unreadable: leave out what cannot be read, instead of stopping.
        size: resize all images to this height and width in pixels, antialiased (Lanczos).
        channels: make all images grey (1) or RGB (3); as the dataset has them where None.
        progress: called with images done and images in all.

    Raises:
        UserError: ``source`` is no known dataset, images cannot be read (with a list), they differ in size, a split
            is empty, an option is out of its bounds, or ``out`` is taken or cannot be written.
    """
    if size is not None and not 8 <= size <= 1024:
        raise UserError(f"--size {size}: must lie between 8 and 1024 pixels")
    if channels not in (None, 1, 3):
        raise UserError(f"--channels {channels}: 1 is grey, 3 is RGB")
    if keep_duplicates and drop_near_duplicates:
        raise UserError("--keep-duplicates and --drop-near-duplicates contradict each other; leave one of them out")
    options = splits or SplitOptions()
    options.check()
    source = Path(source).expanduser()
    check_out(Path(out).expanduser())
    found_format, raw = read_raw(source, format_name)
    if raw.faults and not raw.samples:
        raise _unreadable(source, raw.faults, len(raw.faults))
    divided, about_splits = assign(raw.samples, raw.classes, options)
    hygiene = Hygiene(raw.classes, keep_duplicates=keep_duplicates, drop_near_duplicates=drop_near_duplicates)
    faults = list(raw.faults)
    total, done = sum(map(len, divided.values())), 0
    with DatasetWriter(out, raw.classes) as writer:
        for split in ORDER:
            for sample in divided[split]:
                done += 1
                try:
                    image = _loaded(raw, sample, channels)
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
        _check_left(source, divided, hygiene)
        near_twins = hygiene.near_groups()
        write_findings(writer.folder / LIST_FILE, hygiene, raw.faults, near_twins)
        return writer.finish(
            name=name or raw.name,
            source=f"{found_format}, {readable(Path(source.resolve().name))}",
            splits={"policy": raw.policy, **about_splits},
            hygiene={**hygiene.report(near_twins), "unreadable_rows": len(raw.faults), "notes": raw.notes},
        )


def _check_left(source: Path, divided: dict[str, list[Sample]], hygiene: Hygiene) -> None:
    """Raise a UserError where all images of a split were dropped."""
    for split, facts in hygiene.report()["splits"].items():
        if divided[split] and not facts["kept"]:
            dropped = ", ".join(f"{count:,} {reason}" for reason, count in facts["dropped"].items())
            raise UserError(
                f"{source}: nothing is left of {split}: of {facts['found']:,} images {dropped or 'none'} and "
                f"{facts['unreadable']:,} unreadable were dropped; --keep-duplicates keeps those that stand elsewhere"
            )


def _loaded(raw: RawDataset, sample: Sample, channels: int | None) -> Pixels:
    image = raw.load(sample)
    if channels is None and raw.channels == 1 and image.ndim == 3:
        raise UnreadableError("a colour image among grey ones; choose what all shall be with --channels 1 or 3")
    return in_channels(image, channels or raw.channels)


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
