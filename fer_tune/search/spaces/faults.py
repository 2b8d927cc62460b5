"""Collecting the faults of a search space file: nothing is raised, so that all are told together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fer_tune.config import FIELDS
from fer_tune.errors import nearest
from fer_tune.search.spaces.document import Document, Path
from fer_tune.search.spaces.parameter import check_value

SET_BY_THE_SEARCH = {
    "backbone": "it is the `backbone:` of this file",
    "epochs": "give it to the search, as --epochs",
    "seed": "give it to the search, as --seed",
}

JUDGED_BY_THE_MODEL = ("freeze_depth", "image_size", "drop_path_rate")

COMMON_NAMES = {
    "lr": "learning_rate",
    "batch": "batch_size",
    "wd": "weight_decay",
    "dropout": "drop_rate",
    "optim": "optimizer",
    "scheduler": "schedule",
    "patience": "early_stopping",
    "size": "image_size",
    "resolution": "image_size",
    "class_weights": "class_weighting",
    "llrd": "layer_decay",
    "stochastic_depth": "drop_path_rate",
    "ema": "ema_decay",
    "grad_clip": "clip_grad_norm",
}


def likely_field(name: str, fields: Iterable[str]) -> str:
    """Return ``did you mean 'learning_rate'?`` for a misspelt field, or for what others call it; else nothing."""
    return nearest(COMMON_NAMES.get(name, name), fields)


class Faults:
    """The faults found so far in one document, and the checks that every part of it shares.

    Attributes:
        document: what is read.
        found: ``(file, line, "field: what is wrong")``; line 0 where none is known.
        of_model: where settings stand that only the backbone can judge (freeze depths, image sizes, drop path rates):
            field -> their paths and values; they are held against it last.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.found: list[tuple[str, int, str]] = list(document.faults)
        self.of_model: dict[str, list[tuple[Path, Any]]] = {field: [] for field in JUDGED_BY_THE_MODEL}

    def messages(self) -> list[str]:
        """Return ``file:line: field: what is wrong``, in the order of the lines; files that it extends come last."""
        ordered = sorted(self.found, key=lambda fault: (fault[0] != self.document.where, fault[0], fault[1]))
        told = [f"{file}{f':{line}' if line else ''}: {sentence}" for file, line, sentence in ordered]
        return list(dict.fromkeys(told))  # what two entries share is told once

    def add(self, path: Path, sentence: str) -> None:
        place = ".".join(str(part) for part in path)
        sentence = f"{place}: {sentence}" if place else sentence
        self.found.append((self.document.file(path), self.document.line(path), sentence))

    def mapping(self, path: Path, value: Any, keys: tuple[str, ...] | None = None) -> dict[str, Any] | None:
        """Return ``value`` without the keys that do not belong in it; None where it is no mapping."""
        if not isinstance(value, dict):
            what = "is empty" if value is None else f"is {value!r}"
            self.add(path, f"should hold `key: value` lines, but it {what}")
            return None
        if keys is None:
            return value
        for key in value:
            if key not in keys:
                hint = nearest(str(key), keys) or f"the keys are {', '.join(keys)}"
                self.add((*path, key), f"no such key; {hint}")
        return {key: value[key] for key in keys if key in value}

    def searchable(self, path: Path, name: str) -> bool:
        """Return whether a file may search or fix this setting."""
        if name in SET_BY_THE_SEARCH:
            self.add(path, f"the search sets it; {SET_BY_THE_SEARCH[name]}")
            return False
        return self.known(path, name, [field for field in FIELDS if field not in SET_BY_THE_SEARCH])

    def known(self, path: Path, name: str, fields: list[str]) -> bool:
        """Return whether ``name`` is one of ``fields``."""
        if name not in fields:
            hint = likely_field(name, fields) or "the settings are " + ", ".join(fields)
            self.add(path, f"no such setting; {hint}")
        return name in fields

    def value(self, path: Path, field: str, value: Any) -> tuple[Any, bool]:
        """Return ``value`` as its field of ``TrialConfig`` holds it, and whether it is within its bounds."""
        checked, fault = check_value(field, value)
        if fault:
            self.add(path, fault)
        elif field in self.of_model:
            self.of_model[field].append((path, checked))
        return checked, fault is None
