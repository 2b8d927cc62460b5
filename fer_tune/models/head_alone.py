"""A network cut in two below its head: features that can be computed once, and what is trained on them.

Where every stage is frozen the features of an image are the same in each epoch.  Where a network can be cut is tried
out, for its class does not say it: on a few images the two halves must come to what the whole does, in training mode
too, with the dropout of the head.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from fer_tune.models.networks.cnns import Classifier

_CLOSE = 0.05  # of the largest feature: rounding of half precision is a tenth of that, another dropout far more

Context = Callable[[], AbstractContextManager[object]]
"""Makes the context that a forward pass runs in."""


class _Reached(Exception):  # noqa: N818  # nothing is wrong
    """The features are there; what is above them would draw dropout for nothing."""

    def __init__(self, features: Tensor) -> None:
        self.features = features


def _stop(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    raise _Reached(inputs[0])


class HeadAlone:
    """The two halves of a model whose stages are all frozen.

    From then on the model stays in evaluation mode, but for the modules of ``top``.

    Args:
        model: on its device.
        drop_rate: of the dropout before a classifier that is not this project's own.

    Attributes:
        top: features (B, ...) -> logits (B, classes); its modules are the model's own.

    Raises:
        TypeError: there is more than one classifier.
    """

    def __init__(self, model: nn.Module, drop_rate: float) -> None:
        self._model, self._drop_rate = model, drop_rate
        if isinstance(model, Classifier):
            self.top = model.top()
        else:
            classifier = model.get_classifier()  # type: ignore[operator]  # timm's
            if not isinstance(classifier, nn.Module) or isinstance(classifier, nn.ModuleList):
                raise TypeError(f"{len(classifier)} classifiers")
            self.top = nn.Sequential(nn.Dropout(drop_rate), classifier)
        inside = {*model.modules()}
        self._entry = next(part for part in self.top if part in inside)
        model.eval()

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Return what comes into ``top`` of images (B, C, H, W)."""
        handle = self._entry.register_forward_pre_hook(_stop)
        try:
            self._model(images)
        except _Reached as reached:
            return reached.features
        finally:
            handle.remove()
        raise AssertionError("the classifier is not called")

    def within(self, copy: nn.Module) -> nn.Sequential:
        """Return the upper half of a copy of the model, such as its average."""
        return HeadAlone(copy, self._drop_rate).top

    def agree(self, still: list[nn.Module], images: Tensor) -> bool:
        """Whether the halves come to what the model does in training, drawing the same dropout."""
        features = self.features(images)
        self._model.train()
        for module in still:
            module.eval()
        torch.manual_seed(0)
        expected = _seen(self._entry, self._model, images)
        self._model.eval()
        self.top.train()
        torch.manual_seed(0)
        found = _seen(self._entry, self.top, features)
        return all(_close(ours, whole) for ours, whole in zip(found, expected, strict=True))


@torch.no_grad()
def head_alone(
    model: nn.Module, still: list[nn.Module], images: Tensor, drop_rate: float, context: Context
) -> HeadAlone | str:
    """Return the model in two halves, or why it cannot be cut.

    Args:
        model: on its device, with all its stages frozen.
        still: what :func:`~fer_tune.models.freezing.freeze` returned.
        images: (B, C, H, W), some to try it on.
        drop_rate: that the model was built with.
        context: of a forward pass, such as autocast.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        for rate in dict.fromkeys((drop_rate, 0.0)):  # not every network has dropout there
            try:
                halves = HeadAlone(model, rate)
            except TypeError:
                return "it has more than one classifier"
            trained = {parameter for parameter in model.parameters() if parameter.requires_grad}
            if trained != set(halves.top.parameters()):
                return "more than its classifier is trained"
            with torch.random.fork_rng(_of_cuda(images)), context():
                if halves.agree(still, images):
                    return halves
        return "its classifier does not stand alone at the end"
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
        model.eval()


def _seen(entry: nn.Module, network: nn.Module, given: Tensor) -> tuple[Tensor, Tensor]:
    """Return what comes into ``entry`` when ``network`` runs on ``given``, and what comes out of the network."""
    seen: list[Tensor] = []
    handle = entry.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        logits = network(given)
    finally:
        handle.remove()
    return seen[-1], logits


def _close(ours: Tensor, whole: Tensor) -> bool:
    if ours.shape != whole.shape:
        return False
    largest = whole.float().abs().max()
    return bool((ours.float() - whole.float()).abs().max() <= _CLOSE * largest)


def _of_cuda(images: Tensor) -> list[torch.device]:
    return [images.device] if images.is_cuda else []
