"""A run folder: where its files are, and what they hold, for the writer (search) and the reader (analysis)."""

from fer_tune.run_folder.columns import DRAWN, EPOCH_COLUMNS, METRICS, RANDOM, RECALLS, SEARCHED, TRIAL_COLUMNS, Status
from fer_tune.run_folder.folder import RunFolder
from fer_tune.run_folder.records import (
    Candidate,
    DatasetRef,
    EarlierSearch,
    EarlierTrial,
    FinalConfig,
    FinalPlan,
    Published,
    RefitConfig,
    RefitPlan,
    RefitResult,
    Resumed,
    SearchSettings,
    TrainedOn,
    tried_first,
)

__all__ = [
    "DRAWN",
    "EPOCH_COLUMNS",
    "METRICS",
    "RANDOM",
    "RECALLS",
    "SEARCHED",
    "TRIAL_COLUMNS",
    "Candidate",
    "DatasetRef",
    "EarlierSearch",
    "EarlierTrial",
    "FinalConfig",
    "FinalPlan",
    "Published",
    "RefitConfig",
    "RefitPlan",
    "RefitResult",
    "Resumed",
    "RunFolder",
    "SearchSettings",
    "Status",
    "TrainedOn",
    "tried_first",
]
