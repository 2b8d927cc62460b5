"""ExpW: pictures from the web and ``label.lst``, a line a face: picture, number, box, confidence, emotion.

``angry_actor_104.jpg 0 28 113 226 141 22.9362 0``: the box is top, left, right, bottom, as its readme has it; the codes
are 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral.

Source: Zhang et al. 2018, "From Facial Expression Recognition to Interpersonal Relation Prediction" (arXiv 1609.06426).
91,793 faces; nothing is published as a split. Faces are cut out with a margin.
"""

from __future__ import annotations

from pathlib import Path

from fer_tune.data.labels import EMOTIONS
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.published.fer2013.codes import CODES
from fer_tune.data.preparing.readers.tables.boxes import MARGIN, Box, Boxed, load_boxed
from fer_tune.data.preparing.readers.trees.images import channels_of, images_below, readable
from fer_tune.errors import UserError

FORMAT = "expw"
NEEDS = "a folder with label.lst (picture, number, top, left, right, bottom, confidence, emotion) and the pictures"
NAME = "expw"

_FIELDS = 8


def recognises(path: Path) -> bool:
    """Tell whether there is a label.lst at ``path`` or up to two folders below."""
    return _list(path) is not None


def read(path: Path) -> RawDataset:
    """Scan the list.

    Raises:
        UserError: there is no list.
    """
    file = _list(path)
    if file is None:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    root = path if path.is_dir() else path.parent
    pictures = {picture.name: picture for picture in images_below(root)[0]}
    samples: list[Sample] = []
    faults: list[Fault] = []
    for line, raw in enumerate(file.read_text(encoding="utf-8", errors="surrogateescape").splitlines(), start=1):
        words = raw.split()
        if not words:
            continue
        source = f"{file.name}:{line}"
        try:
            name, code = readable(words[0]), words[7]
            top, left, right, bottom = map(float, words[2:6])
        except (ValueError, IndexError):
            faults.append(Fault(source, f"{len(words)} words, expected {_FIELDS}: {NEEDS[NEEDS.index('(') :]}"))
            continue
        if code not in CODES:
            faults.append(Fault(source, f"unknown emotion {code!r}, the codes are 0 to 6"))
        elif words[0] not in pictures:
            faults.append(Fault(source, f"names {name}, but there is no such picture"))
        else:
            place = Boxed(pictures[words[0]], Box(left, top, right, bottom))
            samples.append(Sample(f"{source} {name}", EMOTIONS.index(CODES[code]), "", place))
    notes = [f"faces are cut out of {len(pictures):,} pictures by their boxes and {MARGIN:.0%} around"]
    channels = channels_of(pictures.values())
    policy = "nothing is published"
    return RawDataset(NAME, EMOTIONS, samples, _load, policy, channels, faults, notes, files=[file])


def _load(sample: Sample) -> Pixels:
    return load_boxed(sample.place)


def _list(path: Path) -> Path | None:
    if path.is_file():
        return path if path.name == "label.lst" else None
    found = [file for depth in range(3) for file in path.glob("*/" * depth + "label.lst")] if path.is_dir() else []
    return found[0] if found else None
