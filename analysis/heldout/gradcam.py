"""Grad-CAM: where a convolutional network looked when it chose a class.

Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def heat(model: Any, images: Any, targets: NDArray[Any]) -> NDArray[np.float32] | None:
    """Return how much each place of the last feature map speaks for a class.

    Args:
        model: a classifier, in evaluation mode.
        images: (K, C, H, W) float tensor as the model takes it, on its device.
        targets: (K,) integer classes.

    Returns:
        (K, H, W) float32 in [0, 1], stretched to the size of the images; None for a network without a convolution
        whose output has more than one place (vision transformers and kin have only their first).
    """
    import torch
    from torch import nn

    maps: list[torch.Tensor] = []

    def keep(_: nn.Module, __: Any, output: torch.Tensor) -> None:
        if output.dim() == 4 and min(output.shape[-2:]) > 1 and output.requires_grad:
            output.retain_grad()
            maps.append(output)

    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if len(convolutions) < 2:  # a patch embedding is no feature map
        return None
    hooks = [module.register_forward_hook(keep) for module in convolutions]
    try:
        with torch.enable_grad():
            given = images.detach().clone().requires_grad_(True)
            logits = model(given)
            chosen = logits.gather(1, torch.as_tensor(targets, device=logits.device).long()[:, None])
            chosen.sum().backward()
    finally:
        for hook in hooks:
            hook.remove()
    model.zero_grad(set_to_none=True)
    useful = [each for each in maps if each.grad is not None]
    if not useful:
        return None
    last = useful[-1]
    assert last.grad is not None
    weights = last.grad.mean((2, 3), keepdim=True)
    found = (weights * last).sum(1, keepdim=True).clamp(min=0).detach().float()
    found = nn.functional.interpolate(found, size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    top = found.amax((1, 2), keepdim=True)
    scaled: NDArray[np.float32] = (found / top.clamp(min=1e-12)).cpu().numpy()
    return scaled
