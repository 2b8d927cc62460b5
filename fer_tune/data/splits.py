"""Which sample belongs to which split, where the publisher leaves that open."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

from fer_tune.data.card import SPLITS
from fer_tune.data.readers.base import Sample
from fer_tune.errors import UserError

DEFAULT_VAL_FRACTION = 0.1


def assign(
    samples: list[Sample], classes: tuple[str, ...], *, val_fraction: float | None, seed: int
) -> tuple[dict[str, list[Sample]], dict[str, Any]]:
    """Return split -> samples, and what the card says of the validation split.

    A published validation split is kept. Where there is none, a stratified part of train is taken (see
    :func:`stratified`).

    Args:
        samples: with the publisher's parts.
        classes: names of the classes.
        val_fraction: share of train for validation, 0.1 where None.
        seed: which part that is.

    Raises:
        UserError: there is no train or test part, the fraction is out of its bounds, or not needed.
    """
    found: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for sample in samples:
        found[sample.part].append(sample)
    for split in ("train", "test"):
        if not found[split]:
            raise UserError(f"no {split} images found; a dataset needs a train and a test part")
    if found["val"]:
        if val_fraction is not None:
            raise UserError("--val-fraction: this dataset has a validation part of its own; leave the option out")
        return found, {"validation": "published"}
    fraction = DEFAULT_VAL_FRACTION if val_fraction is None else val_fraction
    if not 0 < fraction < 1:
        raise UserError(f"--val-fraction {fraction:g}: must lie between 0 and 1, both excluded")
    chosen = stratified(found["train"], classes, fraction, seed)
    found["val"] = [sample for sample in found["train"] if sample.source in chosen]
    found["train"] = [sample for sample in found["train"] if sample.source not in chosen]
    return found, {"validation": "stratified part of train", "val_fraction": fraction, "seed": seed}


def stratified(samples: list[Sample], classes: tuple[str, ...], fraction: float, seed: int) -> set[str]:
    """Return the sources of ``fraction`` of the samples of every class, at least one of each.

    The choice depends on the seed and on each sample's source alone, by the order of SHA-256(seed, source): the order
    in which files are listed does not matter, and adding a file moves at most one other.

    Raises:
        UserError: a class has fewer than two samples.
    """
    by_class: dict[int, list[str]] = defaultdict(list)
    for sample in samples:
        by_class[sample.label].append(sample.source)
    chosen: set[str] = set()
    for label, sources in by_class.items():
        if len(sources) < 2:
            raise UserError(f"class {classes[label]!r} has one training image; a validation part needs at least two")
        sources.sort(key=lambda source: hashlib.sha256(f"{seed}\0{source}".encode()).digest())
        chosen.update(sources[: min(max(1, round(fraction * len(sources))), len(sources) - 1)])
    return chosen
