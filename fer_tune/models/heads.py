"""What stands between the last features of a backbone and its classes: the setting ``head``.

``own`` leaves a backbone what it comes with. ``linear`` is a single linear layer. ``64-32`` is hidden layers of 64 and
32 units, each with a ReLU, dropout after the first, and the classifier; so jahangir-2024 has it (Dense 64, dropout 0.5,
Dense 32, 7-way softmax). A new head takes the place of the classifier and, in the networks of this project that have
hidden layers above their last stage (VGG's two of 4,096, those of the flattened CNNs), of these too: it reads the
pooled features.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from fer_tune.errors import UserError
from fer_tune.models.networks.cnns import Classifier

OWN, LINEAR = "own", "linear"


def drops_itself(head: str) -> bool:
    """Return whether dropout before the classifier is left to the backbone; a head of hidden layers has its own."""
    return head in (OWN, LINEAR)


def replace_head(model: nn.Module, head: str, num_classes: int, drop_rate: float, name: str) -> None:
    """Put the head that is asked for, with new weights, in the place of the model's own.

    Args:
        model: as :func:`~fer_tune.models.factory.create_model` builds it.
        head: ``own``, ``linear``, or units such as ``64-32``.
        num_classes: outputs.
        drop_rate: dropout after the first hidden layer; not read by ``own`` and ``linear``.
        name: of the backbone, for a message.

    Raises:
        UserError: the network has no single linear classifier that could be replaced.
    """
    if head == OWN:
        return
    old = model.get_classifier()  # type: ignore[operator]
    if not isinstance(old, nn.Linear):
        raise UserError(f"head: {name} has no single linear classifier to put {head} in the place of; leave it at own")
    inputs = model.without_hidden() if isinstance(model, Classifier) else old.in_features
    place = next(path for path, module in model.named_modules() if module is old)
    parent, _, leaf = place.rpartition(".")
    setattr(model.get_submodule(parent), leaf, _layers(inputs, head, num_classes, drop_rate))


def head_parameters(model: nn.Module) -> set[str]:
    """Return the names of the classifier's parameters, as in `named_parameters`.

    A distilled transformer has two classifiers, and VOLO a second one for its patches.
    """
    classifier = model.get_classifier()  # type: ignore[operator]  # timm's
    heads = [*classifier] if isinstance(classifier, tuple | list) else [classifier]
    if isinstance(second := getattr(model, "aux_head", None), nn.Module):
        heads.append(second)
    own = {parameter for head in heads for parameter in head.parameters()}
    return {name for name, parameter in model.named_parameters() if parameter in own}


def _layers(inputs: int, head: str, num_classes: int, drop_rate: float) -> nn.Module:
    if head == LINEAR:
        return nn.Linear(inputs, num_classes)
    widths = [inputs, *map(int, head.split("-"))]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
        if len(layers) == 2:
            layers.append(nn.Dropout(drop_rate))
    return nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))
