"""A moving average of the weights."""

from __future__ import annotations

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn


class MovingAverage:
    """The exponential moving average of a model's parameters and buffers (Polyak and Juditsky 1992).

    The decay is timm's, which warms up: it begins at 0 and grows with the steps to the one asked for.  On a GPU what it
    comes to is a number on the device, so that an update that is captured once reads it anew at each replay.

    Attributes:
        module: a copy of the model in evaluation mode, with the averages.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._timm = ModelEmaV3(model, decay, use_warmup=True)
        self.module: nn.Module = self._timm.module
        both = list(zip(self.module.state_dict().values(), model.state_dict().values(), strict=True))
        self._averaged = [pair for pair in both if pair[0].is_floating_point()]
        self._copied = [pair for pair in both if not pair[0].is_floating_point()]
        self._share: float | Tensor = 1.0  # of the weights as they are now
        if (device := next(model.parameters()).device).type == "cuda":
            self._share = torch.ones((), device=device)

    def advance(self, step: int) -> None:
        """Set the decay of the next update; ``step`` counts from 1 over the run."""
        share = 1.0 - self._timm.get_decay(step)
        if isinstance(self._share, Tensor):
            self._share.fill_(share)  # a kernel with a number of its own: nothing waits
        else:
            self._share = share

    def only(self, part: nn.Module) -> None:
        """Pass over what is not in ``part`` of the model from now on, for it does not change."""
        own = {tensor.data_ptr() for tensor in part.state_dict().values()}
        self._averaged = [pair for pair in self._averaged if pair[1].data_ptr() in own]
        self._copied = [pair for pair in self._copied if pair[1].data_ptr() in own]

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the model."""
        averages, values = [average for average, _ in self._averaged], [value for _, value in self._averaged]
        if isinstance(self._share, Tensor):  # no lerp of lists takes its weight from the device
            moved = torch._foreach_sub(values, averages)
            torch._foreach_mul_(moved, self._share)
            torch._foreach_add_(averages, moved)
        else:
            torch._foreach_lerp_(averages, values, self._share)
        for average, value in self._copied:
            average.copy_(value)
