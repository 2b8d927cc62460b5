"""What a search optimises beside validation accuracy, and which study is told of it.

Each backbone has a study of its own, so its sampler can only trade accuracy for what the settings change.  An
objective that nothing in a space changes is not told to that backbone's study: its latency, measured on a machine that
does other work, would be noise to learn from.  It is recorded all the same, and compared between backbones.

Optuna allows no intermediate values in a study of two objectives (``Trial.report``), so there a trial that a scheduler
stopped is PRUNED without a value, and TPE takes it to be worse than every trial that ran to its end (Optuna 5.0,
``samplers/_tpe/sampler.py``).  The scheduler stops trials by their accuracy alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from typing import Any

from fer_tune.errors import UserError
from fer_tune.objectives import OBJECTIVES, Objective
from fer_tune.search.spaces.space import SearchSpace


def second_of(objectives: Sequence[Objective]) -> Objective | None:
    """Return the objective beside validation accuracy, if there is one.

    Raises:
        UserError: validation accuracy is not the first, or there are more than two.
    """
    asked = " ".join(f"--objective {name}" for name in objectives)
    if not objectives or objectives[0] != "val_accuracy" or len(set(objectives)) != len(objectives):
        raise UserError(f"{asked}: validation accuracy comes first, and nothing twice: --objective val_accuracy ...")
    if len(objectives) > 2:
        raise UserError(f"{asked}: validation accuracy and one other at most")
    return objectives[1] if len(objectives) == 2 else None


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
