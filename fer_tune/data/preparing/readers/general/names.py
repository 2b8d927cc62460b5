"""Images whose file names hold the emotion as a word: ``S01_happy_2.png``.

Source: ``Rafd090_01_Caucasian_female_angry_frontal.jpg`` of the Radboud Faces Database (Langner et al. 2010, rafd.nl),
and many collections of laboratories. The images stand in one folder, or in folders of splits or people; no folder is
named after an emotion.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fer_tune.data.labels import emotions_within
from fer_tune.data.preparing.readers.base import Fault, RawDataset, Sample
from fer_tune.data.preparing.readers.trees.by_name import load_file
from fer_tune.data.preparing.readers.trees.images import channels_of, image_files, readable
from fer_tune.data.preparing.readers.trees.levels import Tree, tree_at, understood
from fer_tune.data.preparing.readers.trees.parts import published
from fer_tune.data.preparing.readers.trees.people import people_at_the_start, people_in_names
from fer_tune.data.preparing.readers.trees.roles import role_of
from fer_tune.errors import UserError

FORMAT = "names"
NEEDS = "images whose file names have one emotion as a word, such as S01_happy_2.png, in no folders of emotions"

_MOST = 0.8  # of the names must tell an emotion; the others are not read, and named


def recognises(path: Path) -> bool:
    """Tell whether most file names hold one emotion, at least two in all, and no level of folders does."""
    if not path.is_dir():
        return False
    tree = tree_at(path)
    try:
        if understood(tree).emotions is not None:
            return False
    except UserError:  # two levels hold emotions
        return False
    names = [name for images in tree.holding.values() for name in images]
    told = [found for name in names if len(found := emotions_within(Path(name).stem)) == 1]
    return len(told) >= _MOST * len(names) and len(set().union(*told)) > 1


def read(path: Path) -> RawDataset:
    """Scan the images whose names hold one emotion.

    Raises:
        UserError: there are none, of two emotions at least.
    """
    tree = tree_at(path) if path.is_dir() else Tree(path, {})
    levels = understood(tree)
    named = {name for images in tree.holding.values() for name in images if len(emotions_within(Path(name).stem)) == 1}
    classes = tuple(sorted(set().union(*(emotions_within(Path(name).stem) for name in named))))
    if len(classes) < 2:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    above = [level for level in range(tree.depth) if level != levels.split and role_of(tree.names(level)) == "persons"]
    samples: list[Sample] = []
    faults = list(tree.loops)
    for folders in sorted(tree.holding):
        part = levels.parts.get(folders[levels.split], "") if levels.split is not None and folders else ""
        group = readable(folders[above[0]]) if above and len(folders) > above[0] else ""
        files, broken, _ = image_files(tree.path(folders))
        faults += [Fault(readable(Path(fault.source).relative_to(tree.root)), fault.reason) for fault in broken]
        for file in files:
            if file.name in named:
                label = classes.index(next(iter(emotions_within(file.stem))))
                samples.append(Sample(readable(file.relative_to(tree.root)), label, part, file, group))
    used, policy = published({part: part for part in Counter(sample.part for sample in samples)})
    samples = [sample._replace(part=used[sample.part]) for sample in samples]
    people = "their folders" if above else ""
    if not people:
        samples, people = people_in_names(samples)
    if not people:
        samples, people = people_at_the_start(samples)
    channels = channels_of(sample.place for sample in samples)
    notes = ["emotions are those in the file names"]
    name = readable(tree.root.resolve().name)
    return RawDataset(name, classes, samples, load_file, policy, channels, faults, notes, people=people)
