"""What lies below a raw dataset and was not read, by name: whatever no reader used, so that nothing goes unsaid."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from fer_tune.amounts import amount
from fer_tune.data.preparing.readers.base import RawDataset
from fer_tune.data.preparing.readers.trees.images import SUFFIXES, is_junk, readable
from fer_tune.data.preparing.readers.trees.parts import roots

_NAMED = 3  # files of one kind in one folder that are named one by one
_ENTRIES = 20  # more than these are summed up by their kind


def passed_over(top: Path, raw: RawDataset) -> list[str]:
    """Return what lies in ``top`` and was not read: whole folders with their counts, then files.

    Args:
        top: what the user named.
        raw: what a reader found there.
    """
    if not top.is_dir():
        return []
    used = {str(place) for sample in raw.samples if (place := file_of(sample.place))}
    used |= {str(path) for path in (*raw.files, *raw.unlabelled)}
    faulty = {f"{readable(root)}/{fault.source}" for root in roots(top) for fault in raw.faults}
    folders: list[str] = []
    files: dict[tuple[str, str], list[str]] = defaultdict(list)  # folder, kind -> paths
    junk: dict[str, int] = defaultdict(int)
    for folder, is_used, names in _folders(str(top), used, faulty):
        below = readable(os.path.relpath(folder, top))
        if not is_used:
            folders.append(f"folder {below} ({_counted(names)})")
            continue
        for path in names:
            name = os.path.basename(path)
            if is_junk(name):
                junk["._*" if name.startswith("._") else name] += 1
            else:
                files[below, Path(name).suffix.lower()].append(readable(os.path.relpath(path, top)))
    found = []
    for (below, suffix), paths in sorted(files.items()):
        at = "" if below == "." else f"{below}/"
        found += paths if len(paths) <= _NAMED else [f"{at}*{suffix} ({amount(len(paths), 'file')})"]
    if len(found) > _ENTRIES:
        kinds: dict[str, int] = defaultdict(int)
        for (_, suffix), paths in files.items():
            kinds[suffix or "no suffix"] += len(paths)
        found = [f"*{suffix} ({amount(count, 'file')})" for suffix, count in sorted(kinds.items())]
    if len(folders) > _ENTRIES:
        folders = [*sorted(folders)[:_ENTRIES], f"and {amount(len(folders) - _ENTRIES, 'more folder')}"]
    return [*sorted(folders), *found, *(f"{name} ({count:,})" for name, count in sorted(junk.items()))]


def file_of(place: object) -> Path | None:
    """Return the file of a sample of its own, from what its reader keeps of it, or None where it is part of another."""
    found = place if isinstance(place, Path) else getattr(place, "file", None)
    return found if isinstance(found, Path) else None


def _folders(top: str, used: set[str], faulty: set[str]) -> Iterator[tuple[str, bool, list[str]]]:
    """Yield folders with whether anything in them was used, and the paths that were not.

    A folder of which nothing was used comes once, with all that is below it.
    """

    def seen(folder: str) -> tuple[bool, list[str], list[tuple[str, bool, list[str]]]]:
        own: list[str] = []
        inner: list[tuple[str, bool, list[str]]] = []  # of folders below, decided
        unused: list[tuple[str, list[str]]] = []  # folders below of which nothing was used
        is_used = False
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if path in used:
                is_used = True
            elif os.path.isdir(path) and not os.path.islink(path):
                below_used, paths, decided = seen(path)
                is_used |= below_used
                inner += decided
                if below_used:
                    inner.append((path, True, paths))
                elif paths:
                    unused.append((path, paths))
            elif os.path.isdir(path) and any(file.startswith(path + os.sep) for file in used):
                is_used = True  # a link to a folder, whose files were read through it
            elif readable(path) in faulty:
                is_used = True
            else:
                own.append(path)
        if is_used:
            return True, own, [*inner, *((path, False, paths) for path, paths in unused)]
        return False, [*own, *(path for _, paths in unused for path in paths)], []

    is_used, own, decided = seen(top)
    yield from decided
    if own:
        yield top, is_used or not decided, own


def _counted(paths: list[str]) -> str:
    images = sum(Path(path).suffix.lower() in SUFFIXES and not is_junk(os.path.basename(path)) for path in paths)
    others = len(paths) - images
    parts = [amount(images, "image")] * bool(images) + [amount(others, "file")] * bool(others)
    return ", ".join(parts)
