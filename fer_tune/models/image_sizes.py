"""Which image sizes a backbone can take, and how much of an image is left in its last features.

Nothing is computed to find out: the network is built on torch's "meta" device, where tensors have shapes and no
numbers, and an image of the size in question is passed through it (some tenths of a second, once per process).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import islice
from typing import Any

import timm
import torch
from torch import Tensor, nn

from fer_tune.errors import UserError

SIZES = (16, 24, 32, 40, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 288, 320, 384)
"""Sides in pixels that messages and tables choose from."""


@dataclass(frozen=True)
class Sight:
    """What a backbone makes of images of one size.

    Attributes:
        cells: side of its last feature map, in cells (patches for a transformer); 0 where it is not known.
        problem: why it cannot work on that size; empty where it can.
    """

    cells: int
    problem: str = ""


@functools.cache
def takes_image_size(name: str) -> bool:
    """Return whether the network is built for one image size (a transformer and its kin)."""
    config = timm.get_pretrained_cfg(name)
    return bool(config is not None and config.fixed_input_size)


@functools.cache
def sight(name: str, size: int) -> Sight:
    """Return what the backbone ``name`` makes of square images of ``size`` pixels."""
    plain = _plain_patch(name) if takes_image_size(name) else 0
    if plain:
        return _patches(plain, size)
    try:
        model, features = _pass(name, size)
    except Exception as error:  # each network fails in its own way where its features come to nothing
        default = _default_size(name)
        try:
            if size != default:
                _pass(name, default)
        except Exception:  # it cannot be passed through at all, so that says nothing about the size
            return Sight(0)
        told = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        if takes_image_size(name):
            return Sight(0, f"its windows or strides do not fit such an image ({told})")
        return Sight(0, f"its layers leave nothing of such an image ({told})")
    patch = patch_size(model)
    if takes_image_size(name) and patch and size % patch:
        return _patches(patch, size)
    if features.ndim == 4:
        return Sight(int(features.shape[1 if getattr(model, "output_fmt", "NCHW") == "NHWC" else 2]))
    return Sight(0)


def _patches(patch: int, size: int) -> Sight:
    """Return what a transformer makes of an image that it cuts into patches of ``patch`` pixels a side."""
    if size % patch:
        return Sight(0, f"it cuts images into patches of {patch}x{patch} pixels, which must fill them exactly")
    if size < 2 * patch:
        return Sight(1, "it sees a single patch, so that attention has nothing to compare")
    return Sight(size // patch)


def smallest_useful_size(name: str) -> int | None:
    """Return the smallest of some common sizes whose last features have 2x2 cells or more; None if none has."""
    return next((size for size in _candidates(name, 0) if sight(name, size).cells >= 2), None)


def check_image_size(name: str, size: int) -> None:
    """Raise a :class:`UserError` that says which sizes work, unless the backbone ``name`` can take ``size``."""
    problem = sight(name, size).problem
    if not problem:
        return
    near = sorted(_candidates(name, size), key=lambda other: abs(other - size))
    work = sorted(islice((other for other in near if not sight(name, other).problem), 3))
    smallest = smallest_useful_size(name)  # None where the cells of its last features are not known
    raise UserError(
        f"image_size: {size} pixels do not work with {name}: {problem}; sizes that do: {', '.join(map(str, work))}"
        + (f". The smallest useful one is {smallest}" if smallest else "")
    )


def check_square(name: str, height: int, width: int) -> None:
    """Raise a :class:`UserError` if the backbone ``name`` is built for square images, and these are not."""
    if height != width and takes_image_size(name):
        raise UserError(
            f"image_size: {name} is built for square images, and those of this dataset are {height}x{width} pixels; "
            f"`image_size: {_near(name, max(height, width))}` resizes them, as would any size that it can take"
        )


def _near(name: str, size: int) -> int:
    """Return the size nearest to ``size`` that works."""
    fit = (other for other in _candidates(name, size) if not sight(name, other).problem)
    return min(fit, key=lambda other: abs(other - size), default=_default_size(name))


def _pass(name: str, size: int) -> tuple[nn.Module, Tensor]:
    with torch.device("meta"), torch.no_grad():
        arguments: dict[str, Any] = {"img_size": size} if takes_image_size(name) else {}
        model: nn.Module = timm.create_model(name, num_classes=7, in_chans=3, **arguments).eval()
        images = torch.empty(1, 3, size, size)
        features: Tensor = model.forward_features(images)  # type: ignore[operator]
        model(images)
    return model, features


@functools.cache
def _plain_patch(name: str) -> int:
    """Return the side of the patches of a transformer whose last features are still one per patch; 0 for others."""
    size = _default_size(name)
    model, features = _pass(name, size)
    patch = patch_size(model)
    tokens = features.shape[1] - int(getattr(model, "num_prefix_tokens", 0)) if features.ndim == 3 else 0
    return patch if patch and tokens == (size // patch) ** 2 else 0


@functools.cache
def _patch(name: str) -> int:
    return _plain_patch(name) or patch_size(_pass(name, _default_size(name))[0]) or 32


def _default_size(name: str) -> int:
    config = timm.get_pretrained_cfg(name)
    return 224 if config is None else max(config.input_size[1:])


def patch_size(model: nn.Module) -> int:
    """Return the side of the patches that a transformer cuts images into; 0 for other networks."""
    size = getattr(getattr(model, "patch_embed", None), "patch_size", 0)
    return int(max(size)) if isinstance(size, tuple | list) else int(size or 0)


def _candidates(name: str, size: int) -> list[int]:
    """Return sizes to try: multiples of the patch around ``size`` for a transformer, else common ones."""
    if not takes_image_size(name):
        return list(SIZES)
    patch = _patch(name)
    lowest = max(1, size // patch - 2)
    return [patch * count for count in range(lowest, lowest + 6)]
