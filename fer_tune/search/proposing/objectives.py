"""What a search improves, what it keeps low beside that, and which study is told of it.

Each backbone has a study of its own, so its sampler can only trade quality for what the settings change.  An
objective that nothing in a space changes is not told to that backbone's study: its latency, measured on a machine that
does other work, would be noise to learn from.  It is recorded all the same, and compared between backbones.

Optuna allows no intermediate values in a study of two objectives (``Trial.report``), so there a trial that a scheduler
stopped is PRUNED without a value, and TPE takes it to be worse than every trial that ran to its end (Optuna 5.0,
``samplers/_tpe/sampler.py``).  The scheduler stops trials by the first objective alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from typing import Any

from fer_tune.errors import UserError
from fer_tune.objectives import JUDGED, OBJECTIVES, Aim, Objective
from fer_tune.search.spaces.space import SearchSpace


def second_of(objectives: Sequence[Objective]) -> Objective | None:
    """Return the objective beside the one that trials are judged by, if there is one.

    Raises:
        UserError: none by which trials can be judged comes first, or there is another of them, or more than two.
    """
    asked = " ".join(f"--objective {name}" for name in objectives)
    if not objectives or objectives[0] not in JUDGED:
        raise UserError(
            f"{asked}: what trials are judged by comes first, one of {', '.join(JUDGED)}: --objective val_accuracy ..."
        )
    if any(name in JUDGED for name in objectives[1:]):
        raise UserError(f"{asked}: trials are judged by one of {', '.join(JUDGED)}; all of them are recorded")
    if len(objectives) > 2:
        raise UserError(f"{asked}: one other beside {objectives[0]} at most")
    return objectives[1] if len(objectives) == 2 else None


def check_target(target: float | None, aim: Aim) -> None:
    """Refuse a target that no trial can miss or reach.

    Raises:
        UserError: it is more than 1 where the objective is a share.
    """
    if target is not None and aim.share and target > 1:
        raise UserError(f"--target {target:g}: {aim.meaning} is at most 1; 65 % is --target 0.65")


def told(second: Objective | None, space: SearchSpace) -> Objective | None:
    """Return ``second`` where the settings searched in ``space`` change it, else None."""
    if second is None:
        return None
    fields = OBJECTIVES[second].changed_by
    return second if fields is None or set(fields) & set(space.parameters) else None


def check_objectives(objectives: Sequence[Objective], sampler: str, spaces: dict[str, SearchSpace]) -> None:
    """Refuse objectives that cannot be searched for.

    Raises:
        UserError: see :func:`second_of`; nothing varies the second one; the sampler knows one objective only.
    """
    second = second_of(objectives)
    if second is None:
        return
    learning = [name for name, space in spaces.items() if told(second, space)]
    if not learning and len(spaces) == 1:
        cure = "search image_size too, or give a second --backbone" if second == "latency" else "give two --backbone"
        raise UserError(
            f"--objective {second}: no setting that is searched for {next(iter(spaces))} changes it; {cure}"
        )
    if learning and sampler == "cmaes":
        raise UserError(
            f"--objective {second}: --sampler cmaes can follow one objective only (Optuna's CmaEsSampler); use tpe, "
            "gp, grid or random"
        )


def typical_seconds(epochs: Collection[float]) -> float:
    """Return the median seconds of an epoch: the first of a process also loads its libraries; NaN without any."""
    return statistics.median(epochs) if epochs else math.nan


def value_of(second: Objective, result: dict[str, Any], seconds: Collection[float]) -> float:
    """Return the value of ``second`` from a trial's last result and the seconds of its epochs; NaN if unknown."""
    if second == "seconds":
        return typical_seconds(seconds)
    return float(result.get(OBJECTIVES[second].column, math.nan))
