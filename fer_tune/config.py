"""The typed settings of one trial, and how faults in them are told.

Every hyperparameter of the project is a field of :class:`TrialConfig`, with its bounds and its meaning in one
place: search spaces may only name these fields, and the trainer reads nothing else.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_tune.errors import UserError, nearest

Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["one_cycle", "cosine", "plateau", "constant"]


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
    augmentation: float = Field(0.5, ge=0, le=1, description="strength of every augmentation: 0 none, 1 strong")
    freeze_depth: int = Field(0, ge=0, le=64, description="stages frozen from the input: 0 trains everything")
    weight_decay: float = Field(1e-2, ge=0, le=10, description="decoupled for adamw, L2 for sgd and adam")
    optimizer: Optimizer = Field("adamw", description="adamw, adam, or sgd with Nesterov momentum")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd; not read by adam and adamw")
    schedule: Schedule = Field("one_cycle", description="learning rate over the run")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")
    drop_rate: float = Field(0.0, ge=0, lt=1, description="dropout before the classifier")
    pretrained: bool = Field(False, description="start from timm's ImageNet weights")
    weights: str | None = Field(None, description="start from this checkpoint file instead (safetensors or .pt)")
    early_stopping: int | None = Field(
        None, ge=1, le=10_000, description="stop after this many epochs without a better validation accuracy"
    )
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
