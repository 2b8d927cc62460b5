"""One factory for every backbone: timm's classifiers and ours, by name."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from fer_tune.errors import UserError, nearest
from fer_tune.models.heads import drops_itself, replace_head
from fer_tune.models.image_sizes import check_image_size, patch_size, takes_image_size
from fer_tune.models.networks import cnns, vgg
from fer_tune.models.weights.loading import load_weights

OURS: tuple[str, ...] = (*cnns.NAMES, *vgg.NAMES)
"""The backbones that timm lacks; importing this module registers them with it."""

_LARGE = 64  # pixels: even a network that halves the image six times has something left


@functools.cache
def known_backbones() -> tuple[str, ...]:
    """Names of every backbone: ours first, then timm's."""
    return (*OURS, *(name for name in timm.list_models() if name not in OURS))


def check_backbone(name: str) -> None:
    """Raise a :class:`UserError` with the nearest names unless ``name`` is a backbone."""
    if not timm.is_model(name):
        hint = nearest(name, known_backbones()) or "`fer-tune spaces list` shows the shipped ones"
        raise UserError(f"backbone {name!r}: no such timm model; {hint}")


def create_model(
    name: str,
    num_classes: int,
    in_chans: int,
    image_size: int | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    head: str = "own",
    classes: Sequence[str] | None = None,
) -> nn.Module:
    """Build a classifier.

    Args:
        name: a timm model name, or one of :data:`OURS`.
        num_classes: outputs of the new head.
        in_chans: 1 (grey) or 3; weights of the first layer are adapted as timm does.
        image_size: side of the input in pixels; backbones whose shape depends on it (ViT and kin) are built for it,
            with the position embeddings of their weights interpolated. None: the backbone's own.
        pretrained: start from timm's ImageNet weights (downloaded once, by timm); not read where ``weights`` is given.
        weights: start from this instead: safetensors, or a state dict saved by torch (read with
            ``weights_only=True``), or a run folder. What fits is copied, the rest stays as
            initialised; :func:`~fer_tune.models.weights.loading.load_weights` reports it.
        drop_rate: dropout (Srivastava et al. 2014) before the classifier, for backbones that have it, or after the
            head's first layer.
        drop_path_rate: largest share of images that skip a residual block (Huang et al. 2016), for backbones that
            have such blocks.
        head: what follows the backbone: its ``own``, ``linear``, or hidden units such as ``64-32`` (see
            :mod:`fer_tune.models.heads`).
        classes: what the outputs stand for: the classifier in ``weights`` is taken over where it is for the same.

    Returns:
        A module from float images ``(batch, in_chans, H, W)`` to logits ``(batch, num_classes)``.

    Raises:
        UserError: no such backbone; the image size does not suit it; it has no drop path, or no classifier to
            put the head in the place of; the weights cannot be downloaded or read, or nothing in the file fits.
    """
    check_backbone(name)
    pretrained = pretrained and weights is None
    arguments: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_chans}
    arguments["drop_rate"] = drop_rate if drops_itself(head) else 0.0
    if image_size is not None and takes_image_size(name):
        arguments["img_size"] = image_size
    if drop_path_rate > 0:
        arguments["drop_path_rate"] = drop_path_rate
    if pretrained and not timm.is_model_pretrained(name):
        raise UserError(f"backbone {name}: has no ImageNet weights; use `pretrained: false`, or `weights: FILE`")
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, **arguments)
    except TypeError as error:
        if drop_path_rate > 0 and "drop_path_rate" in str(error):
            raise UserError(f"drop_path_rate: {name} has no residual blocks to skip; leave it at 0") from None
        raise
    except Exception as error:  # the hub, the network and the disk fail in many ways
        if not pretrained:
            if image_size is not None:
                check_image_size(name, image_size)  # the likeliest cause, told in its own words
            raise
        raise UserError(
            f"backbone {name}: its ImageNet weights could not be had ({type(error).__name__}: {error}). "
            "Without a network, give a local checkpoint (`weights: FILE`) or train from scratch (`pretrained: false`)"
        ) from error
    replace_head(model, head, num_classes, drop_rate, name)
    if image_size is not None:
        _check_fit(model, name, in_chans, image_size)
    if weights is not None:
        load_weights(model, weights, name, classes)
    return model


def _check_fit(model: nn.Module, name: str, in_chans: int, image_size: int) -> None:
    """Refuse an image size that does not suit the network, in little more time than one small image takes.

    :func:`check_image_size` would build the network once more for each size, which every trial would pay for.
    """
    built_for_it = takes_image_size(name)
    patch = patch_size(model) if built_for_it else 0
    if patch and (image_size % patch or image_size < 2 * patch):
        check_image_size(name, image_size)
    if image_size >= _LARGE and not built_for_it:  # windows and strides of transformers must fit at any size
        return
    model.eval()  # statistics stay as they are, and nothing is drawn at random
    try:
        with torch.no_grad():
            model(torch.zeros(1, in_chans, image_size, image_size))
    except Exception:  # each network fails in its own way where its features come to nothing
        check_image_size(name, image_size)
        raise
    finally:
        model.train()
