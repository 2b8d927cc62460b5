"""The typed settings of one trial, and how faults in them are told.

Every hyperparameter of the project is a field of :class:`TrialConfig`, with its bounds and its meaning in one
place: search spaces may only name these fields, and the trainer reads nothing else.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from fer_tune.errors import UserError, nearest

Optimizer = Literal["adamw", "adam", "sgd", "muon"]
Schedule = Literal["one_cycle", "cosine", "step", "plateau", "constant"]
ClassWeighting = Literal["none", "balanced", "effective_number", "sampler"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Votes = Literal["majority", "distribution", "draw"]


def _head(value: Any) -> Any:
    text = str(value) if type(value) is int else value  # a YAML file gives 64 as a number
    if isinstance(text, str) and not re.fullmatch(r"own|linear|[1-9]\d{0,3}(-[1-9]\d{0,3})?", text, re.ASCII):
        raise PydanticCustomError("head", "should be own, linear, or units of one or two hidden layers such as 64-32")
    return text


Head = Annotated[str, BeforeValidator(_head)]

COLOUR_ONLY: tuple[str, ...] = ("saturation", "hue", "greyscale")
"""Transforms that do nothing to a grey image."""
TRANSFORMS: tuple[str, ...] = (
    *("flip", "rotation", "scale", "translation", "shear"),  # geometry, resampled once
    *("brightness", "contrast", "erasing"),
    *COLOUR_ONLY,
    *("blur", "jpeg"),  # as cameras and the web do; of grey images only where they are named
)
"""What augmentation may do to an image; :mod:`fer_tune.data.batching.augmentation` gives the ranges."""


def _transforms(value: Any) -> Any:
    if value == "all":
        return value
    names = value if isinstance(value, list | tuple) else str(value).split("+")
    for name in names:
        if name not in TRANSFORMS:
            hint = nearest(str(name), TRANSFORMS) or f"they are {', '.join(TRANSFORMS)}"
            raise PydanticCustomError(
                "transforms", "{name} is no transform; {hint}", {"name": repr(name), "hint": hint}
            )
    if not names:
        raise PydanticCustomError("transforms", "none is left; augmentation: 0 turns them all off")
    return "all" if set(names) == set(TRANSFORMS) else "+".join(name for name in TRANSFORMS if name in names)


Transforms = Annotated[str, BeforeValidator(_transforms)]


class TrialConfig(BaseModel):
    """The settings of one training run, from a search, a refit or a notebook.

    Raises:
        pydantic.ValidationError: a field is unknown, of the wrong type or out of its bounds;
            :func:`trial_config` turns that into one :class:`~fer_tune.errors.UserError`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    backbone: str = Field(min_length=1, description="timm name of the network, e.g. resnet18 or cnn_residual")
    epochs: int = Field(ge=1, le=10_000, description="passes over the training split")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="peak learning rate, at the batch size given")
    batch_size: int = Field(64, ge=1, le=65_536, description="images per optimiser step, over all workers")
    image_size: int | None = Field(
        None, ge=8, le=1024, description="side of the input in pixels, resized on the device; by default the dataset's"
    )

    augmentation: float = Field(0.5, ge=0, le=1, description="strength of every augmentation: 0 none, 1 strong")
    transforms: Transforms = Field("all", description="what augmentation does: all, or some such as flip+rotation")
    augmented_views: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="ways each image is augmented, which the epochs take in turn; by default drawn anew each epoch",
    )
    mixup: float = Field(0.0, ge=0, le=10, description="alpha of Mixup's Beta distribution; 0 is off")
    cutmix: float = Field(0.0, ge=0, le=10, description="alpha of CutMix's Beta distribution; 0 is off")

    pretrained: bool = Field(False, description="start from timm's ImageNet weights")
    weights: str | None = Field(
        None, description="start from this file (safetensors or .pt) or run folder instead; a path or a URI"
    )
    freeze_depth: int = Field(0, ge=0, le=64, description="stages frozen from the input: 0 trains everything")
    unfreeze_epoch: int | None = Field(
        None, ge=2, le=10_000, description="from this epoch on, one more frozen stage is trained each epoch, top down"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="learning rate of each stage as a share of that of the stage above it"
    )
    head: Head = Field("own", description="what follows the backbone: its own, linear, or hidden units such as 64-32")
    drop_rate: float = Field(
        0.0, ge=0, lt=1, description="dropout before the classifier, or in the head that is chosen"
    )
    drop_path_rate: float = Field(0.0, ge=0, lt=1, description="stochastic depth, for backbones that have it")

    optimizer: Optimizer = Field("adamw", description="adamw, adam, sgd or muon")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd; not read by the others")
    nesterov: bool = Field(True, description="Nesterov's momentum for sgd")
    weight_decay: float = Field(1e-2, ge=0, le=10, description="decoupled for adamw and muon, L2 for sgd and adam")
    schedule: Schedule = Field("one_cycle", description="learning rate over the run")
    warmup_epochs: float | None = Field(
        None, ge=0, le=10_000, description="linear warm-up; by default 30 % of a one_cycle, 5 % of a cosine, else none"
    )
    clip_grad_norm: float | None = Field(None, gt=0, description="longest gradient, in the 2-norm over all parameters")
    ema_decay: float | None = Field(
        None, ge=0.5, lt=1, description="evaluate and keep an exponential moving average of the weights"
    )
    sam_rho: float | None = Field(
        None, gt=0, le=10, description="radius of sharpness-aware minimisation; every step costs two"
    )

    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")
    votes: Votes = Field(
        "majority",
        description="target of an image that several people labelled: what most saw, the distribution of their votes, "
        "or a vote drawn each epoch",
    )
    class_weighting: ClassWeighting = Field("none", description="how rare classes gain weight in training")
    early_stopping: int | None = Field(
        None, ge=1, le=10_000, description="stop after this many epochs without a better one, by what the search is for"
    )
    target_accuracy: float | None = Field(None, gt=0, le=1, description="stop at this validation accuracy")
    precision: Precision = Field("auto", description="fp32, mixed with bf16 or fp16 (GPUs), or the quickest here")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="initial weights, batch order and augmentation")


FIELDS: tuple[str, ...] = tuple(TrialConfig.model_fields)


def trial_config(values: dict[str, Any], where: str = "settings") -> TrialConfig:
    """Validate ``values``; report every fault at once.

    Args:
        values: field name -> value.
        where: what to name in the message, such as a file.

    Raises:
        UserError: one line per fault, with the field, the bound and the nearest field name.
    """
    try:
        return TrialConfig.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(f"{where}: {fault}" for _, fault in faults(error))) from None


def faults(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    """Return ``(location, sentence)`` for each fault in a pydantic error, in words a user can act on."""
    found = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            name = str(fault["loc"][-1])
            hint = nearest(name, FIELDS) or f"the fields are {', '.join(FIELDS)}"
            found.append((fault["loc"], f"{place}: no such setting; {hint}"))
        elif fault["type"] == "missing":
            found.append((fault["loc"], f"{place}: missing"))
        else:
            message = fault["msg"][0].lower() + fault["msg"][1:]
            found.append((fault["loc"], f"{place}: {message}, but it is {fault['input']!r}"))
    return found
