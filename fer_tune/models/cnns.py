"""Small convolutional networks for 48x48 faces that timm lacks, registered with timm under their names.

All take images of shape ``(batch, in_chans, H, W)`` with H and W of at least 16, because pooling before the
classifier is adaptive.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn


def _conv_bn(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    # No bias: the batch norm that follows has one.
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class _Classifier(nn.Module):
    """What timm expects of a classifier: the number of classes, its head, and its parameters grouped in stages."""

    num_classes: int
    num_features: int
    head: nn.Linear

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        del coarse  # blocks are the stages
        return {"stem": r"^stem", "blocks": r"^blocks\.(\d+)"}

    def get_classifier(self) -> nn.Module:
        return self.head


class CNNBaseline(_Classifier):
    """The plain CNN that FER papers compare with: Conv-BatchNorm-ReLU blocks, flatten, one hidden layer.

    Six 3x3 convolutions of 32, 64, 128, 256, 256, 256 channels, the first four each followed by 2x2 max pooling,
    then adaptive average pooling to 2x2, a hidden layer of 100 units and the classifier.  With 7 classes and 3
    input channels it has 1,672,775 parameters, the count that Qutub and Atay (2023) give for their baseline CNN,
    whose layers they do not give.
    """

    widths = (32, 64, 128, 256, 256, 256)

    def __init__(self, num_classes: int = 7, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_features = 100
        blocks = []
        channels = in_chans
        for index, width in enumerate(self.widths):
            layers: list[nn.Module] = [*_conv_bn(channels, width), nn.ReLU(inplace=True)]
            if index < 4:
                layers.append(nn.MaxPool2d(2))
            blocks.append(nn.Sequential(*layers))
            channels = width
        self.blocks = nn.Sequential(*blocks)
        self.hidden = nn.Linear(channels * 4, self.num_features)
        self.drop = nn.Dropout(drop_rate)
        self.head = nn.Linear(self.num_features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.adaptive_avg_pool2d(self.blocks(images), 2).flatten(1)
        logits: Tensor = self.head(self.drop(torch.relu(self.hidden(features))))
        return logits


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _conv_bn(inputs, outputs, stride)
        self.second = _conv_bn(outputs, outputs)
        self.shortcut = nn.Identity() if inputs == outputs and stride == 1 else _conv_bn(inputs, outputs, stride, 1)
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]  # starts as the identity: steadier at a high rate

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class _PooledCNN(_Classifier):
    """A stem, blocks, global average pooling, dropout and a linear head."""

    def __init__(
        self, stem: nn.Module, blocks: list[nn.Module], features: int, num_classes: int, drop_rate: float
    ) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, features
        self.stem = stem
        self.blocks = nn.Sequential(*blocks)
        self.drop = nn.Dropout(drop_rate)
        self.head = nn.Linear(features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.blocks(self.stem(images)).mean((2, 3))))
        return logits


class CNNResidual(_PooledCNN):
    """A small residual CNN for 48x48 faces: a stem, then one block each of 32, 64, 128 and 256 channels.

    1.2 million parameters and 35 million multiply-adds per 48x48 image; after the "custom CNN with residual blocks"
    of the di504-metu study, whose layers are not given.
    """

    widths = (32, 64, 128, 256)

    def __init__(self, num_classes: int = 7, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        # Pooled right after the convolution: four times fewer values to normalise and clip, a seventh of a step.
        stem = nn.Sequential(
            nn.Conv2d(in_chans, self.widths[0], 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(self.widths[0]),
            nn.ReLU(inplace=True),
        )
        blocks: list[nn.Module] = [_ResidualBlock(self.widths[0], self.widths[0], 1)]
        blocks += [_ResidualBlock(inputs, outputs, 2) for inputs, outputs in pairwise(self.widths)]
        super().__init__(stem, blocks, self.widths[-1], num_classes, drop_rate)


class CNNSimpler(_PooledCNN):
    """A CNN that trains in seconds: four convolutions of 16, 32, 64 and 128 channels, each at half the size.

    0.1 million parameters and 2 million multiply-adds per 48x48 image; after the "simpler" custom CNN of the
    di504-metu study, whose layers are not given.
    """

    widths = (16, 32, 64, 128)

    def __init__(self, num_classes: int = 7, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        blocks: list[nn.Module] = [
            nn.Sequential(*_conv_bn(inputs, outputs, 2, 5 if inputs == in_chans else 3), nn.ReLU(inplace=True))
            for inputs, outputs in pairwise((in_chans, *self.widths))
        ]
        super().__init__(nn.Identity(), blocks, self.widths[-1], num_classes, drop_rate)


class CNNSeparable(_PooledCNN):
    """A small CNN of depthwise separable convolutions (Howard et al. 2017): 32 to 64, 128 and 256 channels.

    0.05 million parameters and 4 million multiply-adds per 48x48 image; after the custom CNN "with separable
    convolutions" of the di504-metu study, whose layers are not given.
    """

    widths = (32, 64, 128, 256)

    def __init__(self, num_classes: int = 7, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        stem = nn.Sequential(*_conv_bn(in_chans, self.widths[0], 2, 5), nn.ReLU(inplace=True))
        blocks: list[nn.Module] = [
            nn.Sequential(
                nn.Conv2d(inputs, inputs, 3, 2, 1, groups=inputs, bias=False),
                nn.BatchNorm2d(inputs),
                *_conv_bn(inputs, outputs, 1, 1),
                nn.ReLU(inplace=True),
            )
            for inputs, outputs in pairwise(self.widths)
        ]
        super().__init__(stem, blocks, self.widths[-1], num_classes, drop_rate)


default_cfgs = generate_default_cfgs(
    {
        name: {"input_size": (3, 48, 48), "num_classes": 7, "first_conv": first, "classifier": "head"}
        for name, first in (
            ("cnn_baseline", "blocks.0.0"),
            ("cnn_simpler", "blocks.0.0"),
            ("cnn_separable", "stem.0"),
            ("cnn_residual", "stem.0"),
        )
    }
)
NAMES: tuple[str, ...] = tuple(default_cfgs)


@register_model
def cnn_baseline(pretrained: bool = False, **kwargs: Any) -> CNNBaseline:
    """Build :class:`CNNBaseline`."""
    model: CNNBaseline = build_model_with_cfg(CNNBaseline, "cnn_baseline", pretrained, **kwargs)
    return model


@register_model
def cnn_simpler(pretrained: bool = False, **kwargs: Any) -> CNNSimpler:
    """Build :class:`CNNSimpler`."""
    model: CNNSimpler = build_model_with_cfg(CNNSimpler, "cnn_simpler", pretrained, **kwargs)
    return model


@register_model
def cnn_separable(pretrained: bool = False, **kwargs: Any) -> CNNSeparable:
    """Build :class:`CNNSeparable`."""
    model: CNNSeparable = build_model_with_cfg(CNNSeparable, "cnn_separable", pretrained, **kwargs)
    return model


@register_model
def cnn_residual(pretrained: bool = False, **kwargs: Any) -> CNNResidual:
    """Build :class:`CNNResidual`."""
    model: CNNResidual = build_model_with_cfg(CNNResidual, "cnn_residual", pretrained, **kwargs)
    return model
