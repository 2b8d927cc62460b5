"""What ``test/folds.json`` of a run over folds holds: every fold's test, and all of them together."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from analysis.results import Scores


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
    validation: str  # what the winner's refits are judged by, their mean with its unit
    accuracy: float
    openings: int  # of its held-out split


class FoldsResult(BaseModel):
    """What a run over folds came to on people that nothing had seen; shares in [0, 1]."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    dataset: str
    people: int
    mean: float  # of the folds' accuracies
    sd: float  # between the folds
    pooled: Scores  # of all folds as one test, in which every person stands once; intervals are for new people
    folds: list[FoldTest]
