"""A run folder as the writer (search) and the reader (analysis) see it: paths, schemas, typed access.

Its layout is told in :mod:`fer_tune.layout`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_tune import layout
from fer_tune.errors import UserError
from fer_tune.files import replacing
from fer_tune.kinds import Sampler, Scheduler
from fer_tune.objectives import OBJECTIVES, Aim, Objective, aim_of
from fer_tune.uris import below

Status = Literal["completed", "stopped", "too_large", "failed", "running"]
TrainedOn = Literal["train", "train+val"]

SEARCHED = "searched"
"""Origin of a trial whose settings the search drew itself."""

RANDOM = "random"
"""Origin of a trial whose settings were drawn at random, whatever the sampler, and which is not stopped early."""

DRAWN = (SEARCHED, RANDOM)
"""Origins of trials whose settings the search drew; any other is the name of what was tried first."""

METRICS: tuple[str, ...] = (
    "train_loss",
    "train_accuracy",
    "train_balanced_accuracy",
    "train_macro_precision",
    "train_macro_specificity",
    "train_macro_f1",
    "train_macro_auc",
    "val_loss",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_macro_precision",
    "val_macro_specificity",
    "val_macro_f1",
    "val_macro_auc",
    "learning_rate",
    "seconds",
    "data_seconds",
    "steps_seconds",
    "evaluation_seconds",
    "images_per_second",
    "peak_memory_mib",
)
"""Metrics of one epoch, all float64: losses in nats, rates in [0, 1] (balanced accuracy is the macro recall, AUC is
one-vs-rest), seconds of wall time for the epoch with its evaluation and of its parts, training images per second,
the highest memory use."""

RECALLS: tuple[str, ...] = ("train_recalls", "val_recalls")
"""Recall of each class in one epoch, in the order of the dataset's classes."""

EPOCH_COLUMNS: dict[str, pa.DataType] = {
    "trial_id": pa.string(),
    "backbone": pa.string(),
    "epoch": pa.int32(),  # 1-based
    **{name: pa.float64() for name in METRICS},
    **{name: pa.list_(pa.float64()) for name in RECALLS},
    "parts": pa.int32(),  # of each batch, for memory
    "computed_in": pa.string(),  # see `fer_tune.training.computing.plan`
}

TRIAL_COLUMNS: dict[str, pa.DataType] = {
    "trial_id": pa.string(),
    "backbone": pa.string(),
    "origin": pa.string(),  # `SEARCHED`, `RANDOM`, or the name of what was tried first
    "status": pa.string(),  # a `Status`
    "epochs": pa.int32(),  # epochs trained
    "best_epoch": pa.int32(),  # 1-based, by what the search is for; its metrics are below
    "val_accuracy": pa.float64(),  # in [0, 1]
    **{name: pa.float64() for name in METRICS if name.startswith("train_") or name.startswith("val_macro")},
    "val_loss": pa.float64(),
    "val_balanced_accuracy": pa.float64(),
    "learning_rate": pa.float64(),
    "peak_memory_mib": pa.float64(),
    "seconds": pa.float64(),  # wall time of all its epochs
    "epoch_seconds": pa.float64(),  # median of an epoch
    # measured where a search is for it, else null
    **{aim.column: pa.int64() if aim.whole else pa.float64() for aim in OBJECTIVES.values() if aim.measured},
    "images_per_second": pa.float64(),  # mean over its epochs
    "parts": pa.int32(),  # in its last epoch
    "computed_in": pa.string(),
    "error": pa.string(),  # null, or why it failed or is too large
}


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
    sampler: Sampler = "tpe"
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


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run folder, and typed access to its files.

    Attributes:
        path: the folder on this machine.
        uri: of the run where it lives in an object store and ``path`` is its local copy; else empty.
    """

    path: Path
    uri: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def place(self) -> str:
        """The run as a user names it: its URI, or the path of its folder."""
        return self.uri or str(self.path)

    def uri_of(self, path: Path) -> str:
        """Return the URI of ``path``, which lies in the folder; an empty string where the run is in no store."""
        return below(self.uri, *path.relative_to(self.path).parts) if self.uri else ""

    @property
    def settings_file(self) -> Path:
        return self.path / layout.SETTINGS

    @property
    def study_file(self) -> Path:
        return self.path / layout.STUDY

    @property
    def tune(self) -> Path:
        return self.path / layout.TUNE

    @property
    def trials_file(self) -> Path:
        return self.path / layout.TRIALS

    @property
    def epochs_file(self) -> Path:
        return self.path / layout.EPOCHS

    @property
    def clock_file(self) -> Path:
        return self.path / layout.CLOCK

    @property
    def wandb(self) -> Path:
        return self.path / "wandb"

    @property
    def sweep_file(self) -> Path:
        return self.path / "sweep.json"

    @property
    def refit_file(self) -> Path:
        return self.path / layout.REFITS / "refit.json"

    @property
    def final_file(self) -> Path:
        return self.path / layout.REFITS / "final.json"

    def refit_seed(self, config_id: str, seed: int, on: TrainedOn = "train") -> Path:
        return self.path / layout.REFITS / layout.seed_folder(config_id, seed, on)

    @property
    def dataset_file(self) -> Path:
        return self.path / "dataset.json"

    @property
    def ledger_file(self) -> Path:
        return self.path / "test" / "ledger.jsonl"

    def opening(self, number: int) -> Path:
        return self.path / "test" / f"opening_{number}"

    def test(self, config_id: str, opening: int) -> Path:
        return self.opening(opening) / config_id

    def corruptions_file(self, config_id: str, opening: int) -> Path:
        return self.test(config_id, opening) / "corruptions.json"

    def transfer_file(self, place: str, reading: int) -> Path:
        """Return where a reading of another dataset's split is kept; ``place`` stands for that split."""
        return self.path / "test" / "on" / place / f"reading_{reading}" / "transfer.json"

    def comparison_file(self, opening: int) -> Path:
        return self.opening(opening) / "comparison.json"

    @property
    def report(self) -> Path:
        return self.path / "report"

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Return the run folder at ``path``.

        Raises:
            UserError: there is none, with what was looked for.
        """
        folder = cls(Path(path).expanduser().resolve())
        if not folder.path.is_dir():
            raise UserError(f"{path}: no such run folder; `fer-tune search` makes one under runs/")
        if (folder.path / "folds.json").is_file():
            raise UserError(
                f"{path}: a run over folds; name the run of one of them, such as {folder.path / folder.name}-fold_01"
            )
        if not folder.settings_file.is_file():
            raise UserError(f"{path}: not a run folder: no search.yaml in it; name one that `fer-tune search` made")
        return folder

    def settings(self) -> SearchSettings:
        """Read ``search.yaml``.

        Raises:
            UserError: it is not valid, or a newer fer-tune wrote it.
        """
        try:
            return SearchSettings.model_validate(yaml.safe_load(self.settings_file.read_text(encoding="utf-8")))
        except (ValidationError, yaml.YAMLError) as error:
            raise UserError(f"{self.settings_file}: not a search.yaml of this version of fer-tune:\n{error}") from None

    def write_settings(self, settings: SearchSettings) -> None:
        text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
        with replacing(self.settings_file) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def refit_plan(self) -> RefitPlan:
        """Read ``refit/refit.json``.

        Raises:
            UserError: there is none yet.
        """
        if not self.refit_file.is_file():
            raise UserError(f"{self.place}: nothing is refitted yet; run `fer-tune refit {self.place}` first")
        return RefitPlan.model_validate_json(self.refit_file.read_text(encoding="utf-8"))

    def final_plan(self) -> FinalPlan | None:
        """Read ``refit/final.json``; None when nothing was trained on train and val together."""
        if not self.final_file.is_file():
            return None
        return FinalPlan.model_validate_json(self.final_file.read_text(encoding="utf-8"))
