"""What ``test/folds.json`` of a run over folds holds: every fold's test, and all of them together."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class OverPeople(BaseModel):
    """A metric of the held-out images of all folds together, with an interval for other people."""

    model_config = ConfigDict(extra="forbid")
    value: float
    low: float
    high: float


class FoldTest(BaseModel):
    """The test of one fold: its winner, mean over seeds."""

    model_config = ConfigDict(extra="forbid")
    fold: str
    run: str  # name of its run's folder
    people: int
    images: int
    config_id: str
    origin: str
    seeds: int
    val_accuracy: float  # of the winner's refits, mean; NaN where they were trained on val too
    accuracy: float
    openings: int  # of its held-out split


class ClassRecall(BaseModel):
    """Recall of one class over all folds, and how many people and images show it."""

    model_config = ConfigDict(extra="forbid")
    name: str
    people: int
    images: int
    recall: OverPeople


class FoldsResult(BaseModel):
    """What a run over folds came to on people that nothing had seen; shares in [0, 1]."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")
    format_version: Literal[1] = 1
    dataset: str
    classes: list[str]
    people: int
    images: int
    mean: float  # of the folds' accuracies
    sd: float  # between the folds
    accuracy: OverPeople
    balanced_accuracy: OverPeople
    macro_f1: OverPeople
    per_class: list[ClassRecall]
    confusion: list[list[float]]  # (C, C) images, mean over seeds; rows are the true classes
    method: str
    folds: list[FoldTest]
