"""What a user asks of a search, and the checks of it that need neither Ray nor a run folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fer_tune.errors import UserError
from fer_tune.search.choices import check_sampler, check_scheduler
from fer_tune.search.objectives import check_objectives
from fer_tune.search.space import SearchSpace, load_space
from fer_tune.search.weights import starting_from

if TYPE_CHECKING:
    from fer_tune.run_folder import Objective, Sampler, Scheduler
    from fer_tune.tracking.mode import Choice


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
    spaces: list[str] = field(default_factory=list)  # files instead of the shipped spaces
    weights: list[str] = field(default_factory=list)  # that trials start from; see search/weights.py
    objectives: tuple[Objective, ...] = ("val_accuracy",)
    sampler: Sampler = "tpe"
    scheduler: Scheduler = "asha"
    grace_period: int = 2
    reduction_factor: int = 3
    brackets: int = 1
    target_accuracy: float | None = None
    published: bool = True
    warm_start: Path | None = None  # an earlier run
    warm_start_top: int = 3
    known_good: bool = True  # try what the spaces know to be good
    wandb: Choice = "auto"


def chosen_spaces(options: SearchOptions) -> dict[str, SearchSpace]:
    """Return the search space of each backbone: the user's file, or the shipped one, with the weights asked for.

    Raises:
        UserError: a space is not there or faulty, or is that of a backbone not searched; the sampler, the scheduler or
            the objectives cannot work as asked, see :mod:`fer_tune.search.choices`; or the weights, see
            :func:`fer_tune.search.weights.starting_from`.
    """
    check_scheduler(options)
    from_files = {space.backbone: space for space in (load_space(file) for file in options.spaces)}
    for backbone in from_files:
        if backbone not in options.backbones:
            raise UserError(
                f"--space: the file for {backbone} is of no use, since --backbone names {', '.join(options.backbones)}"
            )
    spaces = {name: from_files.get(name) or load_space(name) for name in dict.fromkeys(options.backbones)}
    check_sampler(options, spaces)
    check_objectives(options.objectives, options.sampler, spaces)
    return starting_from(spaces, options.weights)
