"""The columns of a run's tables: of its trials, and of their epochs."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from fer_tune.objectives import OBJECTIVES

Status = Literal["completed", "stopped", "too_large", "failed", "running"]

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
