"""What a training step changes, put by, for an attempt that may fail half-way."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer


class Snapshot:
    """Copies of ``tensors``, of the optimiser's state and of the random numbers' state, as they are now.

    Args:
        tensors: parameters, buffers and what else a step writes to.
        optimizer: its state may gain entries in the attempt; they go again.  None where nothing is trained.
        device: whose random numbers are kept beside the host's.
    """

    def __init__(self, tensors: Iterable[Tensor], optimizer: Optimizer | None, device: torch.device) -> None:
        self._optimizer, self._device = optimizer, device
        state = {} if optimizer is None else optimizer.state
        self._state = {parameter: dict(own) for parameter, own in state.items()}
        of_optimizer = (value for own in self._state.values() for value in own.values() if isinstance(value, Tensor))
        self._kept = [(tensor, tensor.detach().clone()) for tensor in (*tensors, *of_optimizer)]
        self._random = torch.get_rng_state()
        self._random_there = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        """Make everything what it was, in place; gradients are none."""
        with torch.no_grad():
            for tensor, before in self._kept:
                tensor.copy_(before)
        if self._optimizer is not None:
            self._optimizer.state.clear()
            self._optimizer.state.update(self._state)
            self._optimizer.zero_grad(set_to_none=True)
        torch.set_rng_state(self._random)
        if self._random_there is not None:
            torch.cuda.set_rng_state(self._random_there, self._device)
