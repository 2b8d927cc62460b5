"""Gradients in float16: the loss is scaled, so that the small ones do not vanish."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class LossScaling:
    """PyTorch's gradient scaler (Micikevicius et al. 2018, "Mixed precision training"), as a static step needs it.

    A step whose gradients are too large for the type is left out, and later ones are scaled by less.  With the fused
    optimisers all of that is decided on the device, so such a step can be captured and replayed.

    Args:
        device: where it trains.
    """

    def __init__(self, device: torch.device) -> None:
        self._scaler = torch.amp.GradScaler(device.type)

    @classmethod
    def needed(cls, dtype: torch.dtype | None, device: torch.device) -> LossScaling | None:
        """Return one for float16; other types need none."""
        return cls(device) if dtype == torch.float16 else None

    def scaled(self, loss: Tensor) -> Tensor:
        """Return what to take the gradient of."""
        return self._scaler.scale(loss)

    def begin(self) -> None:
        """Begin a step: an attempt that broke off half-way is forgotten, PyTorch's scaler would refuse the next."""
        self._scaler._per_optimizer_states.clear()

    def unscale(self, optimizer: Optimizer) -> None:
        """Make the gradients those of the loss itself, for who needs their length."""
        self._scaler.unscale_(optimizer)

    def move(self, optimizer: Optimizer) -> None:
        """Take the optimiser's step, where the gradients are numbers, and fit the scale."""
        self._scaler.step(optimizer)
        self._scaler.update()

    def tensors(self) -> list[Tensor]:
        """What a step changes; none before the first."""
        return [one for one in (self._scaler._scale, self._scaler._growth_tracker) if one is not None]

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps; waits for the device."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self._scaler.load_state_dict(state)
