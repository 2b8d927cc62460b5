"""What an opening holds of how the models are used together: what validation chose, and how that was tested."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from analysis.results import Scores
from analysis.run.reading import RunRecord
from fer_tune.filing.files import read_json
from fer_tune.filing.layout import AVERAGED
from fer_tune.objectives import Judged

Kind = Literal["single", "soup", "ensemble", "greedy"]
"""One model, the mean of all seeds' scores; one model with the seeds' averaged weights; the mean of the seeds'
probabilities; that of models of all configurations, with shares."""


class Member(BaseModel):
    """A refitted model, and its share of what is averaged; the shares sum to 1."""

    model_config = ConfigDict(extra="forbid")
    config_id: str
    seed: int
    share: float


class Combination(BaseModel):
    """A way to use the refitted models, judged on validation images that no share of it was fitted to.

    ``value`` is what the run judges by; ``gain``, and one standard error of it, are over the single model and the image
    alone, more is better.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")  # of one person nothing is known: inf
    kind: Kind
    views: Literal["none", "flip"]
    members: list[Member]
    passes: int  # forward passes for one image
    value: float
    gain: float
    margin: float

    @property
    def name(self) -> str:
        """What it is, in words."""
        return self._models + (", with its mirror image" if self.views == "flip" else "")

    @property
    def _models(self) -> str:
        if self.kind == "single":
            return "single model"
        if self.kind == "soup":
            return f"averaged weights of {len(self.members)} seeds"
        if self.kind == "ensemble":
            return f"mean of {len(self.members)} seeds"
        configurations = len({member.config_id for member in self.members})
        of = f" of {configurations} configurations" if configurations > 1 else ""
        return f"greedy mean of {len(self.members)} models{of}" if len(self.members) > 1 else "greedily chosen model"


class Choice(BaseModel):
    """Every way to use the models, the one with the fewest passes first, and which of them validation chose.

    ``gain``, and one standard error of it, is what the whole choice gains over the single model on validation images
    that had no part in it; that of the chosen combination flatters itself, as it was chosen by that.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")  # of one person nothing is known: inf
    aim: Judged
    images: int
    groups: int = 0  # that the validation images go by, where a split keeps them whole
    combinations: list[Combination]
    chosen: int
    gain: float
    margin: float
    left_out: list[str] = Field(default_factory=list)  # what was not tried, and why

    @property
    def combination(self) -> Combination:
        """The chosen one."""
        return self.combinations[self.chosen]

    @property
    def is_single(self) -> bool:
        """Whether the single model and the image alone were chosen: nothing is worth more passes."""
        return (self.combination.kind, self.combination.views) == ("single", "none")


class Gain(BaseModel):
    """How much better the chosen combination is than the single model, on the same held-out images, more is better.

    The interval and ``p`` are corrected for all comparisons of the opening.
    """

    model_config = ConfigDict(extra="forbid")
    value: float
    low: float
    high: float
    p: float
    comparisons: int

    @property
    def shown(self) -> bool:
        """Whether zero is outside the interval."""
        return self.low > 0 or self.high < 0


class TestedChoice(BaseModel):
    """What ``chosen/result.json`` of an opening holds; without scores where the single model was chosen."""

    __test__ = False  # not a test case, whatever its name says to pytest

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")
    format_version: Literal[1] = 1
    opening: int
    choice: Choice
    scores: Scores | None = None
    gain: Gain | None = None
    parameters: int | None = None  # of all its models
    times_slower: float | None = None  # than the winner's single model, one image at a time


def latest_choice(run: RunRecord) -> TestedChoice | None:
    """Return what validation chose before the latest opening, and its test; None where nothing was to be chosen."""
    tests = run.all_tests
    file = result_file(chosen_folder(run, tests[0].opening)) if tests else None
    again = "take it from a backup, or remove it: it is only told"
    return read_json(TestedChoice, file, again) if file and file.is_file() else None


def chosen_folder(run: RunRecord, opening: int) -> Path:
    """Return the folder of an opening with the chosen combination: its `TestedChoice` and its predictions."""
    return run.folder.opening(opening) / "chosen"


def result_file(folder: Path) -> Path:
    """Return the file of a `TestedChoice` in the folder that `chosen_folder` gives."""
    return folder / "result.json"


def averaged_folder(run: RunRecord, config_id: str) -> Path:
    """Return the folder of the model with the averaged weights of a configuration's seeds."""
    return run.folder.refit_file.parent / config_id / AVERAGED
