"""What a run's files hold: the settings of a search, the plan of its refits, what each came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fer_tune.kinds import Sampler, Scheduler
from fer_tune.objectives import Aim, Objective, aim_of

TrainedOn = Literal["train", "train+val"]


class DatasetRef(BaseModel):
    """Which prepared dataset a run used; the hash ties the run to its exact content."""

    model_config = ConfigDict(extra="forbid")
    path: str  # of a folder, or a URI pinned to the content
    name: str
    content_hash: str
    classes: list[str]


class Candidate(BaseModel):
    """A configuration that is tried before anything is drawn."""

    model_config = ConfigDict(extra="forbid")
    name: str
    config: dict[str, Any]


class Published(Candidate):
    """A configuration that a paper picked by hand, and what the paper reported for it (accuracies in per cent)."""

    source: str
    dataset: str
    reported: dict[str, float] = Field(default_factory=dict)  # e.g. {"test_accuracy": 60.85}
    chosen: dict[str, str] = Field(default_factory=dict)  # field the paper leaves open -> why our value


class EarlierTrial(BaseModel):
    """What a sampler is told of a trial of an earlier search."""

    model_config = ConfigDict(extra="forbid")
    settings: dict[str, Any]  # those that its search varied, and this one searches
    beats: float  # share of the trials of its search that it beat, less the share that beat it


class EarlierSearch(BaseModel):
    """What a sampler is told of an earlier search of one backbone."""

    model_config = ConfigDict(extra="forbid")
    run: str
    backbone: str
    trials: list[EarlierTrial]


class Resumed(BaseModel):
    """A resume that changed something of its search."""

    model_config = ConfigDict(extra="forbid")
    when: str  # ISO 8601, UTC
    changed: dict[str, Any]  # as it was asked for, by the names of the options


class SearchSettings(BaseModel):
    """What `search.yaml` holds: everything needed to resume, refit or report the search."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    name: str
    created: str  # ISO 8601, UTC
    dataset: DatasetRef
    backbones: list[str]
    trials: int  # per backbone, at most
    planned: dict[str, int]  # backbone -> trials: fewer where a grid has no more points, more where some are retried
    retried: dict[str, list[str]] = {}  # backbone -> failed trials whose settings were tried again
    epochs: int  # most epochs of one trial
    time_budget_seconds: float | None = None  # over all resumes
    target: float | None = None  # the search ends once a trial is as good, by the first objective
    seed: int = 0
    objectives: list[Objective] = ["val_accuracy"]  # what trials are judged by, and at most one cost beside it
    sampler: Sampler = "gp"
    scheduler: Scheduler = "asha"
    grace_period: int = 1  # epochs before a trial may be stopped
    reduction_factor: int = 3
    brackets: int = 1  # of ASHA
    random_share: float = 0.0  # of the drawn trials, that are drawn at random and trained to their end
    cpus_per_trial: float = 1
    gpus_per_trial: float = 0
    gpu_sharing: str = ""  # why so many, where it was measured
    workers_per_trial: int = 1
    node_labels: dict[str, str] = {}  # of the nodes that trials may use
    concurrent: int | None = 1  # trials side by side; None: as many as fit on a cluster
    checkpoint_every: float | None = None  # seconds between two checkpoints of a trial; None: as often as pays
    wandb: Literal["online", "offline", "disabled"] = "offline"
    spaces: dict[str, dict[str, Any]] = {}  # backbone -> its search space, resolved
    published: dict[str, list[Published]] = {}  # backbone -> tried first
    warm_start: dict[str, list[Candidate]] = {}  # backbone -> best of earlier runs, and what its space knows
    informed_by: list[EarlierSearch] = []  # what the sampler learns from beside its own trials, of other backbones
    resumed: list[Resumed] = []  # where that changed something, oldest first
    versions: dict[str, str] = {}  # package -> version
    hardware: dict[str, str] = {}

    @property
    def aim(self) -> Aim:
        """What trials are judged by."""
        return aim_of(self.objectives)

    @property
    def total(self) -> int:
        """Trials of all backbones."""
        return sum(self.planned.values())

    @property
    def first(self) -> dict[str, list[Candidate]]:
        """Backbone -> what is tried before anything is drawn."""
        return tried_first(self.published, self.warm_start)


def tried_first(
    published: Mapping[str, Sequence[Candidate]], warm_start: Mapping[str, Sequence[Candidate]]
) -> dict[str, list[Candidate]]:
    """Return backbone -> what is tried before anything is drawn: the published configurations, then the known ones."""
    return {name: [*entries, *warm_start.get(name, ())] for name, entries in published.items()}


class RefitConfig(BaseModel):
    """One configuration that is trained again with several seeds."""

    model_config = ConfigDict(extra="forbid")
    config_id: str  # folder name, e.g. "cnn_residual-0a1b2c3d"
    trial_id: str
    backbone: str
    origin: str
    epochs: int | None = None  # those of its paper, where it is trained for those; None: those of the plan
    search_value: float | None  # what its trial was judged by; None: it failed or never ran, and is refitted anyway
    config: dict[str, Any]


class RefitPlan(BaseModel):
    """What `refit/refit.json` holds."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    created: str
    seeds: list[int]
    epochs: int
    configs: list[RefitConfig]  # best first, by what the search judged by


class FinalConfig(BaseModel):
    """A configuration that is trained on train and val together; no validation is left, so its epochs are fixed."""

    model_config = ConfigDict(extra="forbid")
    config_id: str
    stop_epoch: int  # it is trained for just so many epochs, see plan_final


class FinalPlan(BaseModel):
    """What `refit/final.json` holds: the configurations to be tested, trained on train and val together."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    created: str
    seeds: list[int]
    epochs: int  # that schedules reckon with
    published: bool = True  # whether what the winner is compared with is trained so too
    configs: list[FinalConfig]


class RefitResult(BaseModel):
    """What `result.json` in a refit's seed folder holds; written last, so it marks the refit as finished."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")  # a failed refit has no value: NaN
    config_id: str
    seed: int
    status: Literal["completed", "failed"]
    epochs: int = 0
    best_epoch: int = 0
    # of that epoch; NaN too for one that was trained on val
    val_accuracy: float = float("nan")
    val_balanced_accuracy: float = float("nan")
    val_macro_f1: float = float("nan")
    val_loss: float = float("nan")
    seconds: float = 0.0
    error: str | None = None
    trained_on: TrainedOn = "train"
