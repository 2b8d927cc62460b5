"""One factory for every backbone: timm's classifiers and ours, by name."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fer_tune.errors import UserError, nearest
from fer_tune.models import cnns


@functools.cache
def known_backbones() -> tuple[str, ...]:
    """Names of every backbone: ours first, then timm's."""
    return (*cnns.NAMES, *(name for name in timm.list_models() if name not in cnns.NAMES))


def check_backbone(name: str) -> None:
    """Raise a :class:`UserError` with the nearest names unless ``name`` is a backbone."""
    if not timm.is_model(name):
        hint = nearest(name, known_backbones()) or "`fer-tune spaces list` shows the shipped ones"
        raise UserError(f"backbone {name!r}: no such timm model; {hint}")


def create_model(
    name: str,
    *,
    num_classes: int,
    in_chans: int,
    image_size: int | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    drop_rate: float = 0.0,
) -> nn.Module:
    """Build a classifier.

    Args:
        name: a timm model name, `cnn_baseline` or `cnn_residual`.
        num_classes: outputs of the new head.
        in_chans: 1 (grey) or 3; ImageNet weights of the first layer are adapted as timm does.
        image_size: side of the input in pixels; given to backbones whose shape depends on it (ViT and kin).
        pretrained: load timm's ImageNet weights (downloaded once, by timm).
        weights: start from this file instead: safetensors, or a state dict saved by torch (read with
            ``weights_only=True``). Tensors that fit in name and shape are copied, the rest stays as initialised.
        drop_rate: dropout before the classifier, for backbones that have it.

    Returns:
        A module from float images ``(batch, in_chans, H, W)`` to logits ``(batch, num_classes)``.

    Raises:
        UserError: no such backbone; the weights cannot be downloaded or read, or nothing in the file fits.
    """
    check_backbone(name)
    arguments: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_chans, "drop_rate": drop_rate}
    if image_size is not None and _takes_image_size(name):
        arguments["img_size"] = image_size
    if pretrained and name in cnns.NAMES:
        raise UserError(f"backbone {name}: has no ImageNet weights; use `pretrained: false`, or `weights: FILE`")
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained and weights is None, **arguments)
    except (OSError, RuntimeError, ValueError) as error:
        if not pretrained:
            raise
        raise UserError(
            f"backbone {name}: its ImageNet weights could not be had ({type(error).__name__}: {error}). "
            "Without a network, give a local checkpoint (`weights: FILE`) or train from scratch (`pretrained: false`)"
        ) from error
    if weights is not None:
        load_weights(model, Path(weights))
    return model


def load_weights(model: nn.Module, file: Path) -> list[str]:
    """Copy from ``file`` what fits in name and shape; return the names of parameters that were not found.

    Raises:
        UserError: the file is missing or unreadable, or no tensor in it fits.
    """
    state = _read(file)
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise UserError(f"{file}: no tensor in it fits this backbone in name and shape; is it of another backbone?")
    model.load_state_dict(fitting, strict=False)
    return [key for key in own if key not in fitting]


def _read(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise UserError(f"{file}: no such weights file")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds on a damaged file
        raise UserError(f"{file}: cannot be read as weights ({type(error).__name__}: {error})") from error
    for key in ("state_dict", "model"):  # how common training code nests it
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{file}: holds no state dict (a mapping from names to tensors)")
    return {key.removeprefix("module."): value for key, value in state.items()}


@functools.cache
def _takes_image_size(name: str) -> bool:
    config = timm.get_pretrained_cfg(name)
    return bool(config is not None and config.fixed_input_size)
