"""Raw dataset -> prepared dataset: read, split, clean, write; images stream through one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.writer import DatasetWriter, Record, check_out
from fer_tune.data.preparing.archives import unpacked
from fer_tune.data.preparing.classes import with_classes
from fer_tune.data.preparing.cleaning.findings import LIST_FILE, write_findings
from fer_tune.data.preparing.cleaning.frames import warn_of_frames
from fer_tune.data.preparing.cleaning.hygiene import ORDER, Hygiene
from fer_tune.data.preparing.cleaning.ignored import passed_over
from fer_tune.data.preparing.cleaning.sensible import refuse_nonsense, spelling_warnings, strange_classes
from fer_tune.data.preparing.cleaning.vanished import check_left
from fer_tune.data.preparing.dry import DryWriter
from fer_tune.data.preparing.fitting import Fit, checked_fit, fitted
from fer_tune.data.preparing.readers import read_raw
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample, UnreadableError
from fer_tune.data.preparing.readers.trees.images import in_channels, readable
from fer_tune.data.preparing.splits import Found, SplitOptions, assign
from fer_tune.errors import UserError

Progress = Callable[[str, int, int], None]
_LISTED = 20  # unreadable files named in an error message


@dataclass(frozen=True)
class _Pixels:
    """What is done to every image."""

    size: int | None
    channels: int | None
    fit: Fit
    align: bool | None


def prepare(
    source: Path,
    out: Path | None,
    *,
    name: str | None = None,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
    classes: Mapping[str, str] | None = None,
    splits: SplitOptions | None = None,
    keep_duplicates: bool = False,
    drop_near_duplicates: bool = False,
    skip_unreadable: bool = False,
    size: int | None = None,
    fit: str = "pad",
    align: bool | None = None,
    channels: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> DatasetCard:
    """Prepare the raw dataset at ``source`` as ``out`` and return its card.

    Beside the splits and the card, ``out`` gets ``hygiene.csv``, which lists every duplicate, near-duplicate, blank and
    skipped image. No more than one image is held in memory, and some hundred bytes about each.

    Args:
        source: a raw dataset in a format of :data:`fer_tune.data.preparing.readers.READERS`, or a zip or tar of one.
        out: where it shall stand; must not exist, or be an empty folder. May be None in a dry run.
        name: name of the dataset, the reader's own where None.
        format_name: the format, recognised where None.
        columns: what the columns of a table hold, such as ``{"label": "emotion"}``; found by their names where None.
        classes: old class -> new one, or "" to drop it; classes that are not mentioned stay.
        splits: how to divide what the publisher left undivided.
        keep_duplicates: keep images of train and val that stand in another split too.
        drop_near_duplicates: drop those that stand in another split almost.
        skip_unreadable: leave out what cannot be read, instead of stopping.
        size: resize all images to this height and width in pixels, antialiased (Lanczos).
        fit: how images that are not square come to ``size``: ``pad``, ``crop`` or ``stretch``; kept for predicting.
        align: turn and scale each face by its landmarks, where the dataset has them; faces that come cut out already
            are only where this is True, others unless it is False.
        channels: make all images grey (1) or RGB (3); as the dataset has them where None.
        dry_run: write nothing; the card then has no hashes.
        progress: called with what is done ("reading", "comparing"), parts of it done, and parts in all.

    Raises:
        UserError: ``source`` is no known dataset, its classes are none, images cannot be read (with a list), they
            differ in size, a split or a class of train is empty, an option is out of its bounds, or ``out`` is taken or
            cannot be written.
    """
    if size is not None and not 8 <= size <= 1024:
        raise UserError(f"--size {size}: must lie between 8 and 1024 pixels")
    if channels not in (None, 1, 3):
        raise UserError(f"--channels {channels}: 1 is grey, 3 is RGB")
    if keep_duplicates and drop_near_duplicates:
        raise UserError("--keep-duplicates and --drop-near-duplicates contradict each other; leave one of them out")
    pixels = _Pixels(size, channels, checked_fit(fit), align)
    options = splits or SplitOptions()
    options.check()
    source = Path(source).expanduser()
    if out is None and not dry_run:
        raise UserError("--out: missing; name the folder for the prepared dataset, or look first with --dry-run")
    if out is not None:
        check_out(Path(out).expanduser())
    with unpacked(source) as folder:
        found_format, raw = read_raw(folder, format_name, columns)
        if raw.faults and not raw.samples:
            raise _unreadable(source, raw.faults, len(raw.faults))
        if align and raw.aligned is None:
            raise UserError(f"{source}: --align: the dataset has no landmarks; leave it out")
        refuse_nonsense(folder, raw, tuple(classes or ()))
        raw = with_classes(raw, classes or {})
        ignored = passed_over(folder, raw)
        divided, about_splits = assign(raw.samples, raw.classes, options)
        hygiene = Hygiene(raw.classes, keep_duplicates=keep_duplicates, drop_near_duplicates=drop_near_duplicates)
        with DryWriter(raw.classes) if out is None or dry_run else DatasetWriter(out, raw.classes) as writer:
            faults = _stream(raw, divided, hygiene, writer, pixels, progress)
            if faults and not skip_unreadable:
                raise _unreadable(source, faults, sum(map(len, divided.values())) + len(raw.faults))
            lost = check_left(source, raw.classes, divided, hygiene)
            near_twins = hygiene.near_groups(None if progress is None else partial(progress, "comparing"))
            report = hygiene.report(near_twins)
            frames = warn_of_frames(about_splits, report, near_twins, raw.samples)
            if writer.folder is not None:
                write_findings(writer.folder / LIST_FILE, hygiene, raw.faults, near_twins)
            return writer.finish(
                name=name or raw.name,
                source=f"{found_format}, {readable(Path(source.resolve().name))}",
                splits={"policy": raw.policy, **({"people": raw.people} if raw.people else {}), **about_splits},
                hygiene={
                    **report,
                    "unreadable_rows": len(raw.faults),
                    "notes": [*raw.notes, *_about_alignment(raw, align), *strange_classes(raw)],
                    "warnings": [*raw.warnings, *spelling_warnings(raw), *lost, *frames],
                    "ignored": ignored,
                    "unlabelled": [_below(path, folder) for path in raw.unlabelled],
                },
                fit=pixels.fit,
            )


def _stream(
    raw: RawDataset,
    divided: Found,
    hygiene: Hygiene,
    writer: DatasetWriter | DryWriter,
    pixels: _Pixels,
    progress: Progress | None,
) -> list[Fault]:
    """Give every image to ``hygiene`` and what stays to ``writer``; return what could not be read."""
    faults = list(raw.faults)
    total, done = sum(map(len, divided.values())), 0
    for split in ORDER:
        for sample in divided[split]:
            done += 1
            try:
                image = _loaded(raw, sample, pixels)
            except UnreadableError as error:
                fault = Fault(sample.source, str(error))
                faults.append(fault)
                hygiene.unreadable[split].append(fault)
            else:
                if hygiene.admit(split, sample.source, sample.label, image):
                    if pixels.size is not None:
                        image = fitted(image, pixels.size, pixels.size, pixels.fit)
                    writer.add(split, Record(image, sample.label, sample.source, sample.group, sample.votes))
            if progress is not None:
                progress("reading", done, total)
    return faults


def _about_alignment(raw: RawDataset, align: bool | None) -> list[str]:
    """Say whether faces were aligned, where the dataset has landmarks."""
    if raw.aligned is None:
        return []
    if _is_aligned(raw, align):
        return ["faces are aligned by the dataset's landmarks (--no-align leaves them as they are)"]
    return ["the dataset's landmarks are not used (--align aligns faces by them)"]


def _is_aligned(raw: RawDataset, align: bool | None) -> bool:
    return not raw.is_cut if align is None else align


def _loaded(raw: RawDataset, sample: Sample, pixels: _Pixels) -> Pixels:
    channels = pixels.channels
    image = raw.aligned(sample) if raw.aligned and _is_aligned(raw, pixels.align) else raw.load(sample)
    if channels is None and raw.channels == 1 and image.ndim == 3:
        raise UnreadableError("a colour image among grey ones; choose what all shall be with --channels 1 or 3")
    return in_channels(image, channels or raw.channels)


def _below(path: Path, folder: Path) -> str:
    return readable(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _unreadable(source: Path, faults: list[Fault], total: int) -> UserError:
    listed = "\n".join(f"  {fault.source}: {fault.reason}" for fault in faults[:_LISTED])
    more = f"\n  and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
    return UserError(
        f"{source}: {len(faults)} of {total} images cannot be read; mend them, or leave them out with "
        f"--skip-unreadable\n{listed}{more}"
    )
