"""The schedulers by name: what each reads of the settings, and the one that a search asks for."""

from __future__ import annotations

import dataclasses

from fer_tune.errors import UserError
from fer_tune.run_folder import SearchSettings
from fer_tune.search.options import SearchOptions
from fer_tune.search.stopping_early.asha import BackboneASHA
from fer_tune.search.stopping_early.fresh import FreshProcesses
from fer_tune.search.stopping_early.median import BackboneMedian
from fer_tune.search.stopping_early.resumable import KeepScheduler


def make_scheduler(settings: SearchSettings) -> tuple[FreshProcesses, list[KeepScheduler]]:
    """Return the scheduler of a search, and the callback that carries what it knows through a resume."""
    if settings.scheduler == "none":
        return FreshProcesses(), []  # every trial runs to its end
    chosen = (
        BackboneMedian(settings.grace_period, settings.aim)
        if settings.scheduler == "median"
        else BackboneASHA(
            settings.backbones,
            settings.epochs,
            settings.grace_period,
            settings.reduction_factor,
            settings.brackets,
            settings.aim,
        )
    )
    return chosen, [KeepScheduler(chosen)]


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
