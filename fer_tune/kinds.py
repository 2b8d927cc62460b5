"""The names by which a user asks for a sampler or a scheduler."""

from __future__ import annotations

from typing import Literal

Sampler = Literal["gp", "tpe", "cmaes", "grid", "random"]
"""What draws settings, see :func:`fer_tune.search.proposing.samplers.make_sampler`."""

Scheduler = Literal["asha", "median", "none"]
"""What stops poor trials, see :func:`fer_tune.search.stopping_early.schedulers.make_scheduler`."""

TOO_LARGE: Literal["too_large"] = "too_large"
"""How a trial ended that does not fit into memory, with its batch in parts of any size; a key of its last result."""
