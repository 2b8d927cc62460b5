"""Learning-rate schedules, from the settings of a trial."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fer_tune.config import TrialConfig
from fer_tune.training.learning.optimisers import can_be_captured


class LearningRate:
    """The learning rate over a run, by step or, for `plateau`, by epoch.

    * `one_cycle`: linear warm-up over the first 30 % of the steps, then a cosine to zero (Smith and Topin 2018).
    * `cosine`: the same with a warm-up of 5 % (Loshchilov and Hutter 2017).
    * `step`: a tenth after half of the steps, a hundredth after three quarters (He et al. 2016).
    * `plateau`: halved when the validation loss has not fallen for two epochs (as jahangir-2024 has it).
    * `constant`.

    ``warmup_epochs`` sets the warm-up of all but `plateau`, which has none by default nor otherwise.

    On a GPU the optimiser's rates become numbers on the device, views of one tensor, so that a step that is captured
    once reads what they are at each replay; setting them is one kernel and waits for nothing.
    """

    def __init__(self, optimizer: Optimizer, config: TrialConfig, steps_per_epoch: int) -> None:
        self._optimizer = optimizer
        self._peaks = [float(group["lr"]) for group in optimizer.param_groups]
        self._steps = 0
        self._on_device = _rates_on_device(optimizer)
        there = None if self._on_device is None else self._on_device.device
        self._peaks_there = torch.tensor(self._peaks, device=there)
        self._plateau: ReduceLROnPlateau | None = None
        self._factor: Callable[[int], float] | None = None
        if config.schedule == "plateau":
            self._plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
        else:
            self._factor = _factor(config, steps_per_epoch)
            self._set()

    @property
    def value(self) -> float:
        """The learning rate of the head now."""
        if self._factor is not None:
            return self._peaks[0] * self._factor(self._steps)
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self) -> None:
        """After an optimiser step."""
        self._steps += 1
        self._set()

    def end_epoch(self, val_loss: float) -> None:
        """After an epoch."""
        if self._plateau is not None:
            self._plateau.step(val_loss)

    def state_dict(self) -> dict[str, object]:
        """What a resume needs; plain values."""
        if self._plateau is None:
            return {"last_epoch": self._steps}
        # Its copy of the rates may be on a device, and the optimiser's state has them.
        return {key: value for key, value in self._plateau.state_dict().items() if key != "_last_lr"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of a run that was stopped, after the optimiser has taken up its own."""
        for place, group in enumerate(self._optimizer.param_groups):
            rate = float(group["lr"])
            group["lr"] = rate if self._on_device is None else self._on_device[place].fill_(rate)
        if self._plateau is None:
            self._steps = state["last_epoch"]
            self._set()
        else:
            self._plateau.load_state_dict(state)

    def _set(self) -> None:
        if self._factor is None:
            return
        factor = self._factor(self._steps)
        if self._on_device is not None:
            torch.mul(self._peaks_there, factor, out=self._on_device)
            return
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor


def _rates_on_device(optimizer: Optimizer) -> Tensor | None:
    """Let the optimiser read its rates from the tensor returned, (groups,) float32; None where it stays with floats."""
    groups = optimizer.param_groups
    device = groups[0]["params"][0].device
    if device.type != "cuda" or not can_be_captured(optimizer):
        return None
    rates = torch.tensor([float(group["lr"]) for group in groups], device=device)
    for place, group in enumerate(groups):
        group["lr"] = rates[place]
    return rates


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
