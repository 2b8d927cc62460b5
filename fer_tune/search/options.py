"""What a user asks of a search; every room of it may read this."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from fer_tune.kinds import Sampler, Scheduler
    from fer_tune.objectives import Objective
    from fer_tune.tracking.mode import Choice


@dataclass(frozen=True)
class Change:
    """A setting that a user gives beside the search spaces, for all of them."""

    how: Literal["fix", "range", "choice"]
    field: str
    value: Any  # of a range (low, high, "log", "linear" or ""), of a choice its values
    said: str  # as it is named in messages, such as "--range learning_rate=1e-4:1e-2"


@dataclass(frozen=True)
class ResumeOptions:
    """What a resume is to change of its search; None means nothing."""

    trials: int | None = None  # per backbone, in all
    epochs: int | None = None  # of further trials
    time_budget_seconds: float | None = None  # from now on
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    concurrent: int | None = None
    checkpoint_every: float | None = None  # seconds between two checkpoints of a trial, from now on
    data: Path | str | None = None  # the same content in another place
    retry_failed: bool = False


@dataclass(frozen=True)
class SearchOptions:
    """What a user asks of a search; None means chosen from the machine."""

    data: Path | str  # a folder or a URI
    backbones: list[str]
    trials: int = 20
    epochs: int = 12
    time_budget_seconds: float | None = None
    name: str | None = None
    storage: Path = field(default_factory=lambda: Path("runs"))
    seed: int = 0
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    workers_per_trial: int = 1
    node_labels: dict[str, str] = field(default_factory=dict)  # of the nodes that trials may use
    concurrent: int | None = None
    checkpoint_every: float | None = None  # seconds between two checkpoints of a trial; None: as often as pays
    spaces: list[str] = field(default_factory=list)  # files instead of the shipped spaces
    changes: tuple[Change, ...] = ()  # of all spaces
    weights: list[str] = field(default_factory=list)  # that trials start from; see search/weights.py
    objectives: tuple[Objective, ...] = ("val_accuracy",)
    sampler: Sampler = "gp"
    scheduler: Scheduler = "asha"
    grace_period: int = 2
    reduction_factor: int = 3
    brackets: int = 1
    random_share: float = 0.0
    target: float | None = None  # of the first objective
    published: bool = True
    warm_start: list[str] = field(default_factory=list)  # earlier runs, and folders of them
    warm_start_top: int = 3  # of each of them
    known_good: bool = True  # try what the spaces know to be good
    wandb: Choice = "auto"
