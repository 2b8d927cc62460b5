"""VGG for faces: VGG-16 and VGG-19 with pooled features and a smaller head, and a half-width VGG from scratch.

The convolutions are those of timm's (torchvision's) VGG under the same parameter names, so that its ImageNet weights
fit; `pretrained: true` takes them.

Source: Simonyan and Zisserman 2015, configurations D and E.
"""

from __future__ import annotations

from typing import Any

import timm
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vgg import cfgs as layer_plans
from torch import Tensor, nn

from fer_tune.models.networks.cnns import Classifier

_PLAN_16, _PLAN_19 = layer_plans["vgg16"], layer_plans["vgg19"]  # channels of each convolution, "M" for pooling


class VGGPooled(Classifier):
    """VGG's convolutions, average pooling to ``grid`` cells a side, two hidden layers of 4,096, the classifier.

    As Qutub and Atay (2023) pin it down by their parameter counts with 7 classes and 3 input channels: VGG-16
    pooled to 1x1 has 33,625,927; VGG-19 has 45,227,079 when pooled to 2x2 (their text says 1x1).

    The five blocks of convolutions are its stages; the hidden layers belong to the head.
    """

    def __init__(
        self,
        plan: list[int | str] = _PLAN_16,
        grid: int = 1,
        num_classes: int = 7,
        in_chans: int = 3,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_features, self.grid = num_classes, 4096, grid
        layers: list[nn.Module] = []
        self._block_of: dict[int, int] = {}  # index in `features` -> its block
        channels, block = in_chans, 0
        for step in plan:
            self._block_of[len(layers)] = block
            if isinstance(step, str):
                layers.append(nn.MaxPool2d(2))
                block += 1
            else:
                layers += [nn.Conv2d(channels, step, 3, padding=1), nn.ReLU(inplace=True)]
                channels = step
        self.features = nn.Sequential(*layers)
        self.hidden: nn.Module = nn.Sequential(
            nn.Linear(channels * grid**2, self.num_features),
            nn.ReLU(inplace=True),
            nn.Dropout(drop_rate),
            nn.Linear(self.num_features, self.num_features),
            nn.ReLU(inplace=True),
            nn.Dropout(drop_rate),
        )
        self.head = nn.Linear(self.num_features, num_classes)
        self.apply(_initialise)

    def group_matcher(self, coarse: bool = False) -> Any:
        """Return the function from a parameter's name to its stage."""

        def block(name: str) -> int:
            first, *rest = name.split(".")
            return (self._block_of[int(rest[0])] if coarse else int(rest[0])) if first == "features" else 1_000

        return block

    def without_hidden(self) -> int:
        """Take out the hidden layers below the classifier; return the number of features that are left."""
        self.hidden, self.num_features = _dropout_of(self.hidden)
        return self.num_features

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.features(images)
        return features

    def top(self) -> nn.Sequential:
        """See `Classifier`."""
        return nn.Sequential(self.hidden, self.head)

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.adaptive_avg_pool2d(self.forward_features(images), self.grid).flatten(1)
        logits: Tensor = self.head(self.hidden(features))
        return logits


class CNNSmallVGG(Classifier):
    """The 13 convolutions of VGG-16 at half width with batch norm, for 48x48 faces from scratch.

    Global average pooling, then the head of jahangir-2024: 64 units, dropout, 32 units, the classifier.  3.7 million
    parameters.  That study's "small VGG" and ostim-2024's "VGG-16-like" network are not given layer by layer; batch
    norm (Ioffe and Szegedy 2015) lets so deep a stack train from random weights.  Images of at least 32 pixels.
    """

    widths = ((32, 2), (64, 2), (128, 3), (256, 3), (256, 3))  # channels, convolutions

    def __init__(self, num_classes: int = 7, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, 32
        blocks, channels = [], in_chans
        for width, count in self.widths:
            layers: list[nn.Module] = []
            for _ in range(count):
                convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
                layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
            blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        self.blocks = nn.Sequential(*blocks)
        self.hidden: nn.Module = nn.Sequential(
            nn.Linear(channels, 64),
            nn.ReLU(inplace=True),
            nn.Dropout(drop_rate),
            nn.Linear(64, 32),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(32, num_classes)

    def without_hidden(self) -> int:
        """Take out the hidden layers below the classifier; return the number of features that are left."""
        self.hidden, self.num_features = _dropout_of(self.hidden)
        return self.num_features

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.blocks(images)
        return features

    def top(self) -> nn.Sequential:
        """See `Classifier`."""
        return nn.Sequential(self.hidden, self.head)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(self.forward_features(images).mean((2, 3))))
        return logits


def _dropout_of(hidden: nn.Module) -> tuple[nn.Module, int]:
    """Return the dropout among hidden layers, which stays where they go, and the number of their inputs."""
    layers = list(hidden.children())
    assert isinstance(layers[0], nn.Linear)
    return next(layer for layer in layers if isinstance(layer, nn.Dropout)), layers[0].in_features


def _initialise(module: nn.Module) -> None:
    """He's initialisation, with which VGG trains from scratch without batch norm (He et al. 2015)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _convolutions_only(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Leave out the hidden layers of a VGG checkpoint: they expect 7x7 cells, the ones here are new."""
    del model
    return {name: value for name, value in state.items() if name.startswith("features.")}


def _weights_of(name: str) -> dict[str, Any]:
    """Return where timm has the weights of ``name``, as the configuration of our network with its convolutions."""
    source = timm.get_pretrained_cfg(name, allow_unregistered=False)
    assert source is not None  # timm has both
    return {
        **{key: getattr(source, key) for key in ("url", "mean", "std", "interpolation", "crop_pct", "license")},
        "hf_hub_id": source.hf_hub_id,
        "input_size": (3, 224, 224),
        "num_classes": 1000,
        "first_conv": "features.0",
        "classifier": "head",
    }


default_cfgs = generate_default_cfgs(
    {
        "vgg16_gap.tv_in1k": _weights_of("vgg16"),
        "vgg19_gap.tv_in1k": _weights_of("vgg19"),
        "cnn_small_vgg": {
            "input_size": (3, 48, 48),
            "num_classes": 7,
            "first_conv": "blocks.0.0",
            "classifier": "head",
        },
    }
)
NAMES: tuple[str, ...] = tuple(default_cfgs)


def _pooled(name: str, pretrained: bool, plan: list[int | str], grid: int, **kwargs: Any) -> VGGPooled:
    kwargs.setdefault("num_classes", 7)
    model: VGGPooled = build_model_with_cfg(
        VGGPooled,
        name,
        pretrained,
        pretrained_filter_fn=_convolutions_only,
        pretrained_strict=False,
        plan=plan,
        grid=grid,
        **kwargs,
    )
    return model


@register_model
def vgg16_gap(pretrained: bool = False, **kwargs: Any) -> VGGPooled:
    """Build VGG-16 with global average pooling, 512-4096-4096-classes."""
    return _pooled("vgg16_gap", pretrained, _PLAN_16, 1, **kwargs)


@register_model
def vgg19_gap(pretrained: bool = False, **kwargs: Any) -> VGGPooled:
    """Build VGG-19 pooled to 2x2, 2048-4096-4096-classes."""
    return _pooled("vgg19_gap", pretrained, _PLAN_19, 2, **kwargs)


@register_model
def cnn_small_vgg(pretrained: bool = False, **kwargs: Any) -> CNNSmallVGG:
    """Build :class:`CNNSmallVGG`."""
    model: CNNSmallVGG = build_model_with_cfg(CNNSmallVGG, "cnn_small_vgg", pretrained, **kwargs)
    return model
