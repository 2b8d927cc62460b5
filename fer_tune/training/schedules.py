"""Learning-rate schedules, from the settings of a trial."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from fer_tune.config import TrialConfig


class LearningRate:
    """The learning rate over a run, by step or, for `plateau`, by epoch.

    * `one_cycle`: linear warm-up over the first 30 % of the steps, then a cosine to zero (Smith and Topin 2018).
    * `cosine`: the same with a warm-up of 5 % (Loshchilov and Hutter 2017).
    * `step`: a tenth after half of the steps, a hundredth after three quarters (He et al. 2016).
    * `plateau`: halved when the validation loss has not fallen for two epochs (as jahangir-2024 has it).
    * `constant`.

    ``warmup_epochs`` sets the warm-up of all but `plateau`, which has none by default nor otherwise.
    """

    def __init__(self, optimizer: Optimizer, config: TrialConfig, steps_per_epoch: int) -> None:
        self._optimizer = optimizer
        self._plateau: ReduceLROnPlateau | None = None
        self._by_step: LambdaLR | None = None
        if config.schedule == "plateau":
            self._plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
        else:
            self._by_step = LambdaLR(optimizer, _factor(config, steps_per_epoch))

    @property
    def value(self) -> float:
        """The learning rate of the head now."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self) -> None:
        """After an optimiser step."""
        if self._by_step is not None:
            self._by_step.step()

    def end_epoch(self, val_loss: float) -> None:
        """After an epoch."""
        if self._plateau is not None:
            self._plateau.step(val_loss)

    def state_dict(self) -> dict[str, object]:
        """What a resume needs; plain values."""
        schedule = self._by_step or self._plateau
        assert schedule is not None
        return {key: value for key, value in schedule.state_dict().items() if key != "lr_lambdas"}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take up the state of a run that was stopped."""
        schedule = self._by_step or self._plateau
        assert schedule is not None
        schedule.load_state_dict({**schedule.state_dict(), **state})


def _factor(config: TrialConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """Return the share of the peak learning rate as a function of the step, counted from 0."""
    steps = steps_per_epoch * config.epochs
    default = {"one_cycle": 0.3, "cosine": 0.05}.get(config.schedule, 0.0) * steps
    asked = config.warmup_epochs
    warm_up = round(default if asked is None else min(asked * steps_per_epoch, steps))
    if asked is None and default:
        warm_up = max(1, warm_up)

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        if config.schedule == "constant":
            return 1.0
        done = step / steps
        if config.schedule == "step":
            return 0.1 ** ((done >= 0.5) + (done >= 0.75))
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, steps - warm_up))))

    return factor
