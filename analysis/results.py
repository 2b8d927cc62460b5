"""What the files under ``test/`` hold: ``<config>/metrics.json`` and ``comparison.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ALPHA = 0.05
"""How often a report may claim a difference, or leave the truth out of an interval, by chance."""


class Estimate(BaseModel):
    """A metric: its mean over seeds, the interval, and each seed's value in the order of the seeds."""

    model_config = ConfigDict(extra="forbid")
    value: float
    low: float
    high: float
    per_seed: list[float]


class ClassScores(BaseModel):
    """Scores of one class against the rest; ``support`` is its number of images."""

    model_config = ConfigDict(extra="forbid")
    name: str
    support: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    specificity: Estimate
    auc: Estimate | None = None  # None where the class has no images, or all
    calibration: Estimate | None = None  # error of the probabilities of this class, see `statistics.calibration`


class EnsembleScores(BaseModel):
    """One classifier made of all seeds (mean of their probabilities).

    Its intervals are for new images, or groups where these are sampled, and not for new seeds: Wilson's for the
    accuracy of images, else those of one model.
    """

    model_config = ConfigDict(extra="forbid")
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate
    more: dict[str, float] = Field(default_factory=dict)  # the names of `MORE`


MORE: dict[str, str] = {
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_specificity": "macro specificity",
    "weighted_precision": "weighted precision",
    "weighted_recall": "weighted recall",
    "weighted_specificity": "weighted specificity",
    "weighted_f1": "weighted F1",
    "macro_auc": "AUC, one against the rest, mean over classes",
    "weighted_auc": "AUC, one against the rest, weighted by images",
    "log_loss": "log loss (nats)",
    "brier": "Brier score (0 to 2)",
    "brier_reliability": "its reliability (less is better)",
    "brier_resolution": "its resolution (more is better)",
    "brier_uncertainty": "its uncertainty (of the labels alone)",
    "calibration_error": "calibration error of the answer (root mean square)",
    "classwise_calibration_error": "calibration error of each class (root mean square)",
}
"""Metrics beyond the three that every table opens with: name in the file -> name for people."""

CALIBRATED = tuple(name for name in MORE if name.startswith(("log_loss", "brier")) or "calibration" in name)
"""Those of `MORE` that probabilities change, where the answers stay."""

VIEW_NAMES = {"flip": "with its mirror image", "ten_crop": "ten crops"}
"""Kinds of `fer_tune.data.batching.views` for people; their predictions are averaged."""


class Scores(BaseModel):
    """Everything computed from the predictions of one configuration's seeds on the same images."""

    model_config = ConfigDict(extra="forbid")
    images: int
    classes: list[str]
    seeds: list[int]
    level: float
    method: str  # how the intervals were made, in words
    groups_sampled: int = 0  # where the split goes by group: how many there are, which intervals are for new ones of
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate
    more: dict[str, Estimate] = Field(default_factory=dict)  # the names of `MORE`
    per_class: list[ClassScores]
    confusion: list[list[list[int]]]  # (S, C, C) counts: seed, true class, predicted class
    ensemble: EnsembleScores | None = None  # None with one seed
    largest_class: float  # accuracy of always answering the class with the most images


class Cost(BaseModel):
    """What one model costs to use: its size, and its speed on one device."""

    model_config = ConfigDict(extra="forbid")
    parameters: int
    latency_ms: float  # median, one image
    latency_low_ms: float  # 10th percentile
    latency_high_ms: float  # 90th percentile
    images_per_second: float  # in batches
    batch_size: int
    device: str  # such as "cpu, 2 threads" or the name of the GPU


class GroupScore(BaseModel):
    """Accuracy on the images of one group (a character, a source), mean of the seeds.

    The interval is for new images of this group and new seeds.
    """

    model_config = ConfigDict(extra="forbid")
    group: str
    images: int
    accuracy: float
    low: float
    high: float


class GroupGap(BaseModel):
    """The worst group and how far it is from the best, with bounds that hold although both were picked.

    They are for new images of these groups and new seeds; see `analysis.statistics.groups.gaps`.
    """

    model_config = ConfigDict(extra="forbid")
    groups: int  # that were compared
    left_out: int  # that have too few images
    worst: str  # as observed, as is the best
    best: str
    accuracy: float  # of the worst; the bounds are of whichever group is the worst in truth
    low: float
    high: float
    gap: float  # between the two; the bounds are of whichever two are the extremes in truth
    gap_low: float
    gap_high: float
    by_chance: float  # the gap that equal groups of these sizes would show on average


class Scaling(BaseModel):
    """What temperature scaling does on the held-out split: see `analysis.heldout.scaling`."""

    model_config = ConfigDict(extra="forbid")
    temperatures: list[float]  # of each seed, fitted on validation and never on the held-out split
    images: int  # of validation, on which they were fitted
    after: dict[str, Estimate]  # the names of `CALIBRATED`
    gain: Estimate  # by how much the log loss falls, in nats


class TestResult(Scores):
    """What ``metrics.json`` holds: the scores, and what they are about."""

    __test__ = False  # not a test case, whatever its name says to pytest

    format_version: Literal[1] = 1
    config_id: str
    role: Literal["winner", "published", "searched"] = "winner"  # tested beside the winner: why it was
    backbone: str
    origin: str
    config: dict[str, Any]
    trained_on: str = "train"  # or "train+val"
    epochs: list[int] = Field(default_factory=list)  # that the model of each seed was trained for
    when: str  # ISO 8601, UTC: the opening of the split that gave these predictions
    opening: int  # how many times the split had been opened in this run, this one included
    selection: str  # how the configuration was chosen, in words
    dataset: str
    content_hash: str
    split_hash: str
    fer_tune: str  # version
    commit: str = ""  # of the code that tested, where it was a checkout
    cost: Cost | None = None
    scaling: Scaling | None = None  # None for models that were trained on validation too
    groups: list[GroupScore] = Field(default_factory=list)  # empty where the dataset has none
    group_gap: GroupGap | None = None  # None without two groups of enough images
    views: dict[str, Scores] = Field(default_factory=dict)  # "flip", "ten_crop": the same models with these views


class CorruptedAt(BaseModel):
    """Accuracy under one corruption at one strength; see `fer_tune.data.batching.corrupting`."""

    model_config = ConfigDict(extra="forbid")
    strength: int  # 1 to 5
    parameter: float
    accuracy: Estimate


class Corruption(BaseModel):
    """Accuracy under one corruption: at each strength, the mean over them, and what it costs on the same images."""

    model_config = ConfigDict(extra="forbid")
    name: str
    at: list[CorruptedAt]
    mean: Estimate
    loss: Estimate  # accuracy on the images as they are, less `mean`


class Corruptions(BaseModel):
    """What ``corruptions.json`` holds: the tested winner on the held-out images under common corruptions."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    config_id: str
    opening: int  # the test whose models these are
    when: str  # ISO 8601, UTC
    seeds: list[int]
    seed: int  # what was drawn from
    images: int
    side: int  # of the images, in pixels: parameters go with it
    groups_sampled: int = 0
    method: str
    clean: Estimate  # the images as they are
    each: list[Corruption]
    mean: Estimate  # over all corruptions and strengths
    loss: Estimate


class Transfer(BaseModel):
    """What ``transfer.json`` holds: the tested winner on another dataset's held-out split."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    config_id: str
    backbone: str
    opening: int  # the test whose models these are
    reading: int  # how many times this run had read that split, this one included
    when: str  # ISO 8601, UTC
    trained_on: str  # name of the run's dataset
    tested_on: str  # name of the other
    content_hash: str  # of the other, as is the next
    split_hash: str
    shared: list[str]  # classes of both, by the names of the run's
    only_trained: list[str]  # classes that the other lacks
    only_tested: list[str]  # classes that the models do not know
    images: int  # of the other split, all classes
    known: int  # identical to one that the run trained or chose with; left out
    brought: str = ""  # how they were brought to the shape that the models take
    scores: Scores  # on images of shared classes, the answer among those
    every: Estimate  # accuracy on all images, any answer: what one dataset lacks is wrong
    home: Scores | None = None  # as `scores`, on the run's own held-out split


class Trained(BaseModel):
    """Two trained classifiers on the same images: how many only one of them has right, and the test of that.

    The test is McNemar's, or by flipping the signs of the groups' differences where groups are sampled.
    """

    model_config = ConfigDict(extra="forbid")
    only_first: int
    only_second: int
    by_group: bool = False
    p: float  # corrected for the number of comparisons


class Versus(BaseModel):
    """The winner (first) against another configuration (second) on the same images; differences are first - second.

    Intervals and p values are corrected together: they hold for all comparisons, of both metrics, at once.
    """

    model_config = ConfigDict(extra="forbid")
    first: str  # config_id
    second: str
    second_origin: str
    seeds: tuple[int, int]
    difference: float  # of the accuracies, means over seeds
    low: float
    high: float
    p: float
    macro_f1_difference: float
    macro_f1_low: float
    macro_f1_high: float
    macro_f1_p: float
    trained: Trained
    words: str

    @property
    def shown(self) -> bool:
        """Whether a difference is shown, after the correction for several comparisons: zero is not in the interval."""
        return self.low > 0 or self.high < 0


class Comparison(BaseModel):
    """What ``comparison.json`` holds."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    opening: int
    images: int
    method: str
    pairs: list[Versus]
