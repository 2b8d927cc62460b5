"""One optimiser step: forward, backward, and what a trial adds to them.

`torch.compile` is left out, for on a CPU it does not pay. Measured with PyTorch 2.15 on one thread of a shared core
(float32, channels last, 48 px, batch 64; CPU seconds of a plain step over those of a compiled one, in turns): 0.91 and
0.98 in two runs of `cnn_residual`, 1.04 of `resnet18`. Compiling took 176 s and 280 s there (16 s with its cache
filled), and about as long again at the first batch of another size. On a GPU it has not been measured.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from fer_tune.config import TrialConfig
from fer_tune.training.steps.loss_scaling import LossScaling
from fer_tune.training.steps.precision import autocast


class Step:
    """Calling it on a batch moves the weights once.

    Gradients longer than ``clip_grad_norm`` are shortened to it (Pascanu et al. 2013); ``sam_rho`` is of Foret et al.
    (2021).

    Where a batch does not fit into memory as a whole, it goes through the network in parts, whose gradients add up to
    the same step: the loss of a batch is the plain mean over its images, whatever their weights, smoothing and mixing,
    so that of a part counts with its share of them.  What differs is what looks at several images at once: batch norm
    takes its statistics from a part, and moves its running ones by as much in all as it would for the batch.

    Args:
        model: in training mode, perhaps wrapped for data-parallel training.
        optimizer: over its parameters.
        objective: the loss; takes the logits and the targets of a batch.
        config: ``clip_grad_norm`` and ``sam_rho``.
        device: of the model.
        dtype: for autocast; None computes in the model's own.
        scaling: of the loss, for float16.
        parts: that a batch is split into, as even as can be; of two images at least.
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
        parts: int = 1,
    ) -> None:
        self._model, self._optimizer, self._objective = model, optimizer, objective
        self._clip, self._rho = config.clip_grad_norm, config.sam_rho
        self._device, self._dtype, self._scaling, self._parts = device, dtype, scaling, parts
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
        parts = min(self._parts, len(images) // 2)  # batch norm needs two values of each channel
        if parts < 2:
            return self._backward(images, targets)
        columns = [[None] * parts if target is None else target.tensor_split(parts) for target in targets]
        found = []
        with _slower_statistics(self._model, parts):
            for number, (some, *own) in enumerate(zip(images.tensor_split(parts), *columns, strict=True), 1):
                with self._by_itself(last=number == parts):
                    found.append(self._backward(some, tuple(own), len(some) / len(images)))
        return torch.cat([logits for logits, _ in found]), torch.stack([loss for _, loss in found]).sum()

    def _backward(
        self, images: Tensor, targets: tuple[Tensor | None, ...], share: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add the gradients of these images, which are a ``share`` of the batch, or all of it."""
        with autocast(self._dtype, self._device):
            logits = self._model(images)
        logits = logits.float()
        loss: Tensor = self._objective(logits, *targets)
        if share is not None:
            loss = loss * share
        (loss if self._scaling is None else self._scaling.scaled(loss)).backward()
        return logits.detach(), loss.detach()

    def _by_itself(self, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Have several workers add up their gradients once a step, with the last part."""
        if last or not isinstance(self._model, DistributedDataParallel):
            return contextlib.nullcontext()
        return self._model.no_sync()

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


def _still_statistics(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Keep batch norm from counting the same images twice."""
    return _momenta(model, lambda _: 0.0)


def _slower_statistics(model: nn.Module, parts: int) -> contextlib.AbstractContextManager[None]:
    """Have batch norm forget in so many parts as much of its running statistics as in one batch."""
    return _momenta(model, lambda own: None if own is None else 1 - (1 - own) ** (1 / parts))


@contextlib.contextmanager
def _momenta(model: nn.Module, changed: Callable[[float | None], float | None]) -> Iterator[None]:
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [module.momentum for module in norms]
    for module, own in zip(norms, momenta, strict=True):
        module.momentum = changed(own)
    yield
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
