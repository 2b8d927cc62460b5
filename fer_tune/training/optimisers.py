"""Optimisers and learning-rate schedules, from the settings of a trial."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from fer_tune.config import TrialConfig


def build_optimizer(model: nn.Module, config: TrialConfig) -> Optimizer:
    """Build the optimiser over the parameters that are trained.

    Weight decay leaves out norms and biases, everything of one dimension (He et al. 2019, "Bag of Tricks").  It is
    decoupled for AdamW (Loshchilov and Hutter 2019), an L2 term for Adam and SGD; SGD has Nesterov momentum.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        nesterov = config.momentum > 0
        return torch.optim.SGD(groups, config.learning_rate, config.momentum, nesterov=nesterov, fused=True)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, config.learning_rate, fused=True)


class LearningRate:
    """The learning rate over a run, by step or, for `plateau`, by epoch.

    * `one_cycle`: linear warm-up over the first 30 % of the steps, then a cosine to zero (Smith and Topin 2018).
    * `cosine`: the same with a warm-up of 5 % (Loshchilov and Hutter 2017).
    * `plateau`: halved when the validation loss has not fallen for two epochs (as jahangir-2024 has it).
    * `constant`.
    """

    def __init__(self, optimizer: Optimizer, config: TrialConfig, steps: int) -> None:
        self._optimizer = optimizer
        self._plateau: ReduceLROnPlateau | None = None
        self._by_step: LambdaLR | None = None
        if config.schedule == "plateau":
            self._plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
        elif config.schedule != "constant":
            warm_up = max(1, round(steps * (0.3 if config.schedule == "one_cycle" else 0.05)))
            self._by_step = LambdaLR(optimizer, lambda step: _warm_cosine(step, warm_up, steps))

    @property
    def value(self) -> float:
        """The learning rate now."""
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
        state = {} if schedule is None else schedule.state_dict()
        return {key: value for key, value in state.items() if key != "lr_lambdas"}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take up the state of a run that was stopped."""
        schedule = self._by_step or self._plateau
        if schedule is not None:
            schedule.load_state_dict({**schedule.state_dict(), **state})


def _warm_cosine(step: int, warm_up: int, steps: int) -> float:
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, steps - warm_up))))
