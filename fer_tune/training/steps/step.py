"""One optimiser step: forward, backward, and what a trial adds to them.

`torch.compile` is left out, for on a CPU it does not pay. Measured with PyTorch 2.15 on one thread of a shared core
(float32, channels last, 48 px, batch 64; CPU seconds of a plain step over those of a compiled one, in turns): 0.91 and
0.98 in two runs of `cnn_residual`, 1.04 of `resnet18`. Compiling took 176 s and 280 s there (16 s with its cache
filled), and about as long again at the first batch of another size. On a GPU it has not been measured.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fer_tune.config import TrialConfig
from fer_tune.training.steps.loss_scaling import LossScaling
from fer_tune.training.steps.precision import autocast


class Step:
    """Calling it on a batch moves the weights once.

    Gradients longer than ``clip_grad_norm`` are shortened to it (Pascanu et al. 2013); ``sam_rho`` is of Foret et al.
    (2021).

    Args:
        model: in training mode, perhaps wrapped for data-parallel training.
        optimizer: over its parameters.
        objective: the loss; takes the logits and the targets of a batch.
        config: ``clip_grad_norm`` and ``sam_rho``.
        device: of the model.
        dtype: for autocast; None computes in the model's own.
        scaling: of the loss, for float16.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        objective: nn.Module,
        config: TrialConfig,
        device: torch.device,
        dtype: torch.dtype | None,
        scaling: LossScaling | None = None,
    ) -> None:
        self._model, self._optimizer, self._objective = model, optimizer, objective
        self._clip, self._rho = config.clip_grad_norm, config.sam_rho
        self._device, self._dtype, self._scaling = device, dtype, scaling
        self._trained = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]

    def __call__(self, images: Tensor, *targets: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the logits (B, classes) float32 and the loss, a scalar, of the weights before the step."""
        if self._scaling is not None:
            self._scaling.begin()
        logits, loss = self._gradient(images, targets)
        if self._rho is not None:
            with self._sharpest(self._rho), _still_statistics(self._model):
                self._gradient(images, targets)
        if self._clip is not None:
            if self._scaling is not None:
                self._scaling.unscale(self._optimizer)  # the bound is one of the gradient itself
            nn.utils.clip_grad_norm_(self._trained, self._clip)
        if self._scaling is None:
            self._optimizer.step()
        else:
            self._scaling.move(self._optimizer)
        self._optimizer.zero_grad(set_to_none=True)  # none outlives its step: those of a captured one are the graph's
        return logits, loss

    def tensors(self) -> list[Tensor]:
        """What a step changes, but for the optimiser's state."""
        scales = [] if self._scaling is None else self._scaling.tensors()
        return [*self._model.parameters(), *self._model.buffers(), *scales]

    def _gradient(self, images: Tensor, targets: tuple[Tensor | None, ...]) -> tuple[Tensor, Tensor]:
        self._optimizer.zero_grad(set_to_none=True)
        with autocast(self._dtype, self._device):
            logits = self._model(images)
        logits = logits.float()
        loss: Tensor = self._objective(logits, *targets)
        (loss if self._scaling is None else self._scaling.scaled(loss)).backward()
        return logits.detach(), loss.detach()

    @contextlib.contextmanager
    def _sharpest(self, rho: float) -> Iterator[None]:
        """Move the weights by ``rho`` to where the loss is highest nearby, and back (Foret et al. 2021, "SAM").

        The direction alone counts, so it does not matter whether the loss was scaled.
        """
        gradients = [p.grad for p in self._trained if p.grad is not None]
        moved = [p for p in self._trained if p.grad is not None]
        length = nn.utils.get_total_norm(gradients)
        factor = rho / (length + 1e-12)
        before = [p.detach().clone() for p in moved]
        with torch.no_grad():
            for parameter, gradient in zip(moved, gradients, strict=True):
                parameter.add_(gradient * factor)
        yield
        with torch.no_grad():
            for parameter, old in zip(moved, before, strict=True):
                parameter.copy_(old)


@contextlib.contextmanager
def _still_statistics(model: nn.Module) -> Iterator[None]:
    """Keep batch norm from counting the same images twice."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [module.momentum for module in norms]
    for module in norms:
        module.momentum = 0.0
    yield
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
