"""Whether what a user chose goes together: a sampler with a space, a scheduler with its settings."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from fer_tune.errors import UserError
from fer_tune.search.grid import POINTS, grid_size, grid_values
from fer_tune.search.samplers import lasting_ranges

if TYPE_CHECKING:
    from fer_tune.search.options import SearchOptions
    from fer_tune.search.space import SearchSpace

TOO_FAR = 10
"""Times as many points as trials that a grid may have: a search that sees less of it is a random one."""


def check_scheduler(options: SearchOptions) -> None:
    """Refuse settings that the scheduler does not read, and brackets in which nothing could differ.

    Raises:
        UserError: the first of them.
    """
    reads = {"asha": ("grace_period", "reduction_factor", "brackets"), "median": ("grace_period",), "none": ()}
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    for name in reads["asha"]:
        if getattr(options, name) != defaults[name] and name not in reads[options.scheduler]:
            raise UserError(
                f"--{name.replace('_', '-')} {getattr(options, name)}: --scheduler {options.scheduler} does not read "
                "it; leave it out, or use --scheduler asha"
            )
    most = most_brackets(options.epochs, options.grace_period, options.reduction_factor)
    if options.brackets > most:
        raise UserError(
            f"--brackets {options.brackets}: with --epochs {options.epochs}, --grace-period {options.grace_period} and "
            f"--reduction-factor {options.reduction_factor} there are at most {most}, the last of which stops no "
            "trial; ask for fewer, or for more epochs"
        )


def most_brackets(epochs: int, grace_period: int, reduction_factor: int) -> int:
    """Return the number of ASHA's brackets of which each but the last has a rung of its own to begin with.

    >>> most_brackets(epochs=12, grace_period=2, reduction_factor=3)  # rungs at 2 and 6; at 6; none
    3
    """
    rungs = 0
    while min(grace_period, epochs) * reduction_factor**rungs < epochs:
        rungs += 1
    return rungs + 1


def check_sampler(options: SearchOptions, spaces: dict[str, SearchSpace]) -> None:
    """Refuse a sampler that can do nothing with a space.

    Raises:
        UserError: a grid far larger than the number of trials; CMA-ES without a range that always applies.
    """
    for name, space in spaces.items():
        if options.sampler == "cmaes" and not lasting_ranges(space):
            raise UserError(
                f"--sampler cmaes: the space of {name} has no range that every trial draws from, and CMA-ES cannot "
                "adapt to choices or to settings under a condition; use another sampler, or give --space a range "
                "without `when`"
            )
        if options.sampler == "grid" and (size := grid_size(space)) > TOO_FAR * options.trials:
            values = ", ".join(f"{field} {len(grid_values(each))}" for field, each in space.parameters.items())
            raise UserError(
                f"--sampler grid: the grid over the space of {name} has {size:,} points ({values}; a range counts as "
                f"{POINTS}), far more than --trials {options.trials} would see. Give --space with fewer settings under "
                f"`search`, or with a `choice` of few values; or at least --trials {math.ceil(size / TOO_FAR):,}; or "
                "another sampler"
            )
