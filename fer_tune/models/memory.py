"""How much memory a training step of a backbone takes: what batch sizes are chosen by.

Counted is what must be there at once however it is computed: the weights, their gradients and AdamW's two averages,
and the activations that autograd keeps from the forward to the backward pass, all in float32.  Not counted are the
workspace of single operations and the gradients of activations.  Nothing is computed: tensors on torch's "meta" device
have shapes and no numbers.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer_tune.models.factory import create_model

_COPIES = 4  # the weight, its gradient and AdamW's two averages, each of four bytes


@dataclass(frozen=True)
class StepMemory:
    """Bytes of a training step in float32.

    Attributes:
        weights: of weights, gradients and optimiser state.
        per_image: of the activations kept of each image.
    """

    weights: int
    per_image: int

    def of_batch(self, batch_size: int) -> int:
        """Return the bytes of a step of ``batch_size`` images."""
        return self.weights + batch_size * self.per_image


@functools.cache
def step_memory(backbone: str, image_size: int) -> StepMemory:
    """Return what a step of the backbone takes at an image size, when all of it is trained.

    Raises:
        UserError: the backbone is none, or the size does not suit it.
    """
    images = 4  # more than one, so that statistics of a batch are small beside it
    with torch.device("meta"):
        model = create_model(backbone, num_classes=7, in_chans=3, image_size=image_size).train()
        kept = kept_bytes(model, torch.empty(images, 3, image_size, image_size))
    numbers = sum(parameter.numel() for parameter in model.parameters())
    return StepMemory(4 * _COPIES * numbers, kept // images)


def kept_bytes(model: nn.Module, images: Tensor) -> int:
    """Return the bytes that autograd keeps of ``images`` (B, C, H, W) for a backward pass, without the weights."""
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}  # each storage once; held, so that none is freed and counted for another

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(images)
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)
