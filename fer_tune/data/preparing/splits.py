"""Which sample belongs to which split, where the publisher leaves that open.

Everything is drawn from the seed and the names of samples or groups alone, by the order of SHA-256(seed, name): the
order in which files are listed does not matter, and adding a file moves few others.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_tune.data.prepared.card import SPLITS
from fer_tune.data.preparing.groups import grouped, without_crossing
from fer_tune.data.preparing.readers.base import Sample
from fer_tune.errors import UserError, nearest

DEFAULT_VAL_FRACTION = 0.1
UNDIVIDED_FRACTION = 0.2  # of test in all, and of validation in the rest; as the published FERG-DB systems have it
_LISTED = 20  # groups of a split that the card names

Found = dict[str, list[Sample]]


@dataclass(frozen=True)
class SplitOptions:
    """How to divide what the publisher left undivided; None is the default of the dataset.

    Attributes:
        split: ``random`` (stratified by class) or ``character`` (whole groups); the latter where there are groups. With
            ``character`` said, published parts are put together and divided anew by groups.
        test_characters: the groups of the test split, instead of drawing them.
        group: regular expression that finds a sample's group in its path; instead of what the layout tells.
        test_fraction: share of all images for testing, 0.2 where None.
        val_fraction: share of the rest for validation; where None, 0.2 if nothing was divided, else 0.1.
        seed: what is drawn.
        fold: the number of a fold, from 1, and how many there are: its people are the test, of whatever parts.
    """

    split: str | None = None
    test_characters: tuple[str, ...] = ()
    group: str | None = None
    test_fraction: float | None = None
    val_fraction: float | None = None
    seed: int = 0
    fold: tuple[int, int] | None = None

    def check(self) -> None:
        """Raise a UserError for a fraction out of its bounds, or options that contradict each other."""
        for name, value in (("--test-fraction", self.test_fraction), ("--val-fraction", self.val_fraction)):
            if value is not None and not 0 < value < 1:
                raise UserError(f"{name} {value:g}: must lie between 0 and 1, both excluded")
        if self.split not in (None, "random", "character"):
            raise UserError(f"--split {self.split}: it is random or character")
        if self.split == "random" and self.group is not None:
            raise UserError("--split random and --group contradict each other: a random split divides groups")
        if self.split == "random" and self.test_characters:
            raise UserError("--split random and --test-characters contradict each other; leave one of them out")
        if self.test_characters and self.test_fraction is not None:
            raise UserError("--test-characters already tells which images are the test; leave --test-fraction out")


def assign(samples: list[Sample], classes: tuple[str, ...], options: SplitOptions) -> tuple[Found, dict[str, Any]]:
    """Return split -> samples, and what the card says of how they were divided.

    Published parts are kept. Where there is no validation part, a stratified part of train is taken (see
    :func:`stratified`), or whole groups where there are any. Where nothing is published, the test is taken first. A
    group that stands in two published parts is kept in one of them.

    Args:
        samples: with the publisher's parts.
        classes: names of the classes.
        options: how to divide.

    Raises:
        UserError: there is no train or test part, an option is out of its bounds or not needed, or there are too few
            images or groups to divide.
    """
    options.check()
    if options.group is not None:
        samples = grouped(samples, options.group)
    has_groups = any(sample.group for sample in samples)
    if has_groups:  # what has none is a group of its own
        samples = [sample if sample.group else sample._replace(group=sample.source) for sample in samples]
    if options.fold and not has_groups:
        raise UserError(
            "--folds: this dataset does not tell who is shown; name its people by a regular expression with --group"
        )
    if options.fold or (options.split == "character" and has_groups):
        samples = [sample._replace(part="") for sample in samples]
    if samples and all(sample.part == "" for sample in samples):
        return _divided(samples, classes, options)
    for option, given in (
        ("--split", options.split),
        ("--test-characters", options.test_characters or None),
        ("--test-fraction", options.test_fraction),
    ):
        if given is not None:
            raise UserError(f"{option}: this dataset has a test part of its own; leave the option out")
    found: Found = {split: [] for split in SPLITS}
    for sample in samples:
        found[sample.part].append(sample)
    for split in ("train", "test"):
        if not found[split]:
            raise UserError(f"no {split} images found; a dataset needs a train and a test part")
    about: dict[str, Any] = {}
    if has_groups:
        found, crossing = without_crossing(found)
        about = {"group": options.group, "dropped_as_group_of_another_split": crossing}
    if found["val"]:
        if options.val_fraction is not None:
            raise UserError("--val-fraction: this dataset has a validation part of its own; leave the option out")
        return found, {**about, "validation": "published"}
    fraction = DEFAULT_VAL_FRACTION if options.val_fraction is None else options.val_fraction
    if has_groups:
        found["train"], found["val"] = _parted(found["train"], whole_groups(found["train"], fraction, options.seed))
        validation = "whole groups of train"
    else:
        chosen = stratified(found["train"], classes, fraction, options.seed)
        found["val"] = [sample for sample in found["train"] if sample.source in chosen]
        found["train"] = [sample for sample in found["train"] if sample.source not in chosen]
        validation = "stratified part of train"
    return found, {**about, "validation": validation, "val_fraction": fraction, "seed": options.seed}


def _divided(samples: list[Sample], classes: tuple[str, ...], options: SplitOptions) -> tuple[Found, dict[str, Any]]:
    """Divide a dataset that is published as one set."""
    has_groups = any(sample.group for sample in samples)
    mode = options.split or ("character" if has_groups else "random")
    if (mode == "character" or options.test_characters) and not has_groups:
        raise UserError("this dataset names no characters; name its groups by a regular expression with --group")
    test_fraction = UNDIVIDED_FRACTION if options.test_fraction is None else options.test_fraction
    val_fraction = UNDIVIDED_FRACTION if options.val_fraction is None else options.val_fraction
    about: dict[str, Any] = {"split": mode, "val_fraction": val_fraction, "seed": options.seed}
    if mode == "random":
        chosen = stratified(samples, classes, test_fraction, options.seed)
        test = [sample for sample in samples if sample.source in chosen]
        rest = [sample for sample in samples if sample.source not in chosen]
        chosen = stratified(rest, classes, val_fraction, options.seed)
        val = [sample for sample in rest if sample.source in chosen]
        train = [sample for sample in rest if sample.source not in chosen]
        about |= {"test_fraction": test_fraction, "validation": "stratified part of the rest"}
        return {"train": train, "val": val, "test": test}, about
    if options.fold:
        tests = people_of_fold(samples, *options.fold, options.seed)
        about |= {"fold": list(options.fold), "test_people": len(tests), "test_characters_chosen_by": "fold"}
    elif options.test_characters:
        tests = _named(options.test_characters, {sample.group for sample in samples})
        about["test_characters_chosen_by"] = "--test-characters"
    else:
        tests = whole_groups(samples, test_fraction, options.seed)
        about |= {"test_fraction": test_fraction, "test_characters_chosen_by": "seed"}
    rest, test = _parted(samples, tests)
    train, val = _parted(rest, whole_groups(rest, val_fraction, options.seed))
    found = {"train": train, "val": val, "test": test}
    about |= {"validation": "whole groups of the rest", "group": options.group}
    for split, part in found.items():
        names = sorted({sample.group for sample in part})
        about[f"{split}_characters"] = names if len(names) <= _LISTED else len(names)
    return found, about


def stratified(samples: list[Sample], classes: tuple[str, ...], fraction: float, seed: int) -> set[str]:
    """Return the sources of ``fraction`` of the samples of every class, at least one of each.

    Raises:
        UserError: a class has fewer than two samples.
    """
    by_class: dict[int, list[str]] = defaultdict(list)
    for sample in samples:
        by_class[sample.label].append(sample.source)
    chosen: set[str] = set()
    for label, sources in by_class.items():
        if len(sources) < 2:
            raise UserError(
                f"class {classes[label]!r} has one training image; a validation part needs at least two; "
                f"--classes {classes[label]}= leaves the class out"
            )
        ordered = _drawn(sources, seed)
        chosen.update(ordered[: min(max(1, round(fraction * len(sources))), len(sources) - 1)])
    return chosen


def whole_groups(samples: list[Sample], fraction: float, seed: int) -> set[str]:
    """Return groups that together hold about ``fraction`` of the samples, and of each class where groups allow it.

    Groups are asked in the order that the seed draws; one is taken where it brings the counts per class nearer to the
    fraction (least squares). At least one group is taken and one left.

    Raises:
        UserError: there are fewer than two groups.
    """
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for sample in samples:
        counts[sample.group][sample.label] += 1
    if len(counts) < 2:
        raise UserError(
            f"only one group left, {next(iter(counts), '')!r}; train, val and test each need a whole group: people "
            "told apart by --group, or --split random, which puts everybody on all sides"
        )
    labels = sorted({sample.label for sample in samples})
    sizes = {group: np.array([count[label] for label in labels], float) for group, count in counts.items()}
    short = fraction * sum(sizes.values(), np.zeros(len(labels)))  # what is still missing of each class
    chosen: list[str] = []
    ordered = _drawn(counts, seed)
    for group in ordered:
        if len(chosen) < len(counts) - 1 and np.sum((short - sizes[group]) ** 2) < np.sum(short**2):
            short = short - sizes[group]
            chosen.append(group)
    return set(chosen or [min(ordered, key=lambda group: sizes[group].sum())])


def people_of_fold(samples: list[Sample], number: int, folds: int, seed: int) -> set[str]:
    """Return the groups of fold ``number`` of ``folds``, which hold about as many images of each class as the others.

    Raises:
        UserError: there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = {sample.group for sample in samples}
    if folds > len(groups):
        raise UserError(
            f"--folds {folds}: there are {len(groups)} people or groups; --folds {len(groups)} leaves out one at a time"
        )
    ordered = sorted(samples, key=lambda sample: sample.source)  # so that the order of files does not matter
    labels, owners = [sample.label for sample in ordered], [sample.group for sample in ordered]
    with warnings.catch_warnings():  # a class with fewer images than folds stands in some of them alone
        warnings.filterwarnings("ignore", message="The least populated class")
        parted = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, owners))
    return {owners[place] for place in parted[number - 1][1]}


def _parted(samples: list[Sample], groups: set[str]) -> tuple[list[Sample], list[Sample]]:
    """Return the samples of other groups, and those of ``groups``."""
    others = [sample for sample in samples if sample.group not in groups]
    return others, [sample for sample in samples if sample.group in groups]


def _drawn(names: Iterable[str], seed: int) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())


def _named(wanted: tuple[str, ...], known: set[str]) -> set[str]:
    for name in wanted:
        if name not in known:
            hint = nearest(name, known) or f"there are {', '.join(sorted(known)[:_LISTED])}"
            raise UserError(f"--test-characters {name}: no such character; {hint}")
    return set(wanted)
