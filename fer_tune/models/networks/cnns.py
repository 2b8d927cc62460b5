"""Small convolutional networks for 48x48 faces that timm lacks, registered with timm under their names.

All take images of shape ``(batch, in_chans, H, W)`` with H and W of at least 16, because pooling before the
classifier is adaptive.  The published studies that they follow name them but do not give their layers: the layers
here are ours, stated in each docstring.
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


class Classifier(nn.Module):
    """What timm expects of a classifier: the number of classes, its head, and its parameters grouped in stages."""

    num_classes: int
    num_features: int
    head: nn.Module

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        del coarse  # blocks are the stages
        return {"stem": r"^stem", "blocks": r"^blocks\.(\d+)"}

    def get_classifier(self) -> nn.Module:
        return self.head

    def without_hidden(self) -> int:
        """Take out the hidden layers below the classifier; return the number of features that are left."""
        return self.num_features

    def top(self) -> nn.Sequential:
        """Return what stands above the pooled features, which is all that is trained where every stage is frozen."""
        raise NotImplementedError


class _FlattenedCNN(Classifier):
    """3x3 Conv-BatchNorm-ReLU blocks, some followed by 2x2 max pooling, then flatten, one hidden layer, the classifier.

    Before flattening, features are pooled to ``grid`` cells a side, so that any image size fits the hidden layer.
    """

    widths: tuple[int, ...]  # channels of each block
    pooled: tuple[int, ...]  # blocks that are followed by pooling
    grid: int
    hidden_units: int

    def __init__(self, num_classes: int = 7, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_features = self.hidden_units
        self.blocks = _plain_blocks(in_chans, self.widths, self.pooled)
        self.hidden: nn.Module = nn.Linear(self.widths[-1] * self.grid**2, self.hidden_units)
        self.drop = nn.Dropout(drop_rate)
        self.head = nn.Linear(self.hidden_units, num_classes)

    def without_hidden(self) -> int:
        """Take out the hidden layer below the classifier; return the number of features that are left."""
        self.num_features = self.widths[-1] * self.grid**2
        self.hidden = nn.Identity()
        return self.num_features

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.blocks(images)
        return features

    def top(self) -> nn.Sequential:
        """See `Classifier`."""
        return nn.Sequential(self.hidden, nn.ReLU(), self.drop, self.head)

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.adaptive_avg_pool2d(self.forward_features(images), self.grid).flatten(1)
        logits: Tensor = self.head(self.drop(torch.relu(self.hidden(features))))
        return logits


def _plain_blocks(in_chans: int, widths: tuple[int, ...], pooled: tuple[int, ...]) -> nn.Sequential:
    blocks = []
    for index, (inputs, outputs) in enumerate(pairwise((in_chans, *widths))):
        layers: list[nn.Module] = [*_conv_bn(inputs, outputs), nn.ReLU(inplace=True)]
        if index in pooled:
            layers.append(nn.MaxPool2d(2))
        blocks.append(nn.Sequential(*layers))
    return nn.Sequential(*blocks)


class CNNBaseline(_FlattenedCNN):
    """The plain CNN that FER papers compare with: Conv-BatchNorm-ReLU blocks, flatten, one hidden layer.

    Six 3x3 convolutions of 32, 64, 128, 256, 256, 256 channels, the first four each followed by 2x2 max pooling,
    then adaptive average pooling to 2x2, a hidden layer of 100 units and the classifier.  With 7 classes and 3
    input channels it has 1,672,775 parameters, the count that Qutub and Atay (2023) give for their baseline CNN,
    whose layers they do not give.
    """

    widths = (32, 64, 128, 256, 256, 256)
    pooled = (0, 1, 2, 3)
    grid = 2
    hidden_units = 100


class CNNTraditional(_FlattenedCNN):
    """The "traditional CNN" of ostim-2024: Conv-BatchNorm-MaxPool blocks, flatten, dense, softmax.

    Four 3x3 convolutions of 32, 64, 128 and 256 channels, each followed by 2x2 max pooling; the 3x3 cells that a
    48x48 image leaves are flattened into a hidden layer of 256 units.  1.0 million parameters.  The paper gives the
    order of the layers, not their sizes.
    """

    widths = (32, 64, 128, 256)
    pooled = (0, 1, 2, 3)
    grid = 3
    hidden_units = 256


class CNNDeeper(_FlattenedCNN):
    """Eight 3x3 convolutions in pairs of 32, 64, 128 and 256 channels, each pair followed by 2x2 max pooling.

    A hidden layer of 256 units over 2x2 cells.  1.4 million parameters; after the "deeper" custom CNN of the
    di504-metu study, whose layers are not given.
    """

    widths = (32, 32, 64, 64, 128, 128, 256, 256)
    pooled = (1, 3, 5, 7)
    grid = 2
    hidden_units = 256


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


class _PooledCNN(Classifier):
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

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.blocks(self.stem(images))
        return features

    def top(self) -> nn.Sequential:
        """See `Classifier`."""
        return nn.Sequential(self.drop, self.head)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.forward_features(images).mean((2, 3))))
        return logits


class CNNGlobalPooling(_PooledCNN):
    """The convolutions of :class:`CNNBaseline`, then global average pooling and the classifier (Lin et al. 2014).

    1.6 million parameters; after the custom CNN "with global average pooling" of the di504-metu study, whose layers
    are not given.
    """

    def __init__(self, num_classes: int = 7, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        widths = CNNBaseline.widths
        blocks = list(_plain_blocks(in_chans, widths, CNNBaseline.pooled))
        super().__init__(nn.Identity(), blocks, widths[-1], num_classes, drop_rate)


class CNNResidual(_PooledCNN):
    """A small residual CNN for 48x48 faces: a stem, then one block each of 32, 64, 128 and 256 channels.

    1.2 million parameters and 37 million multiply-adds per 48x48 image; after the "custom CNN with residual blocks"
    of the di504-metu study, whose layers are not given.
    """

    stem_width = 32
    widths: tuple[int, ...] = (32, 64, 128, 256)

    def __init__(self, num_classes: int = 7, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        # Pooled right after the convolution: four times fewer values to normalise and clip, a seventh of a step.
        stem = nn.Sequential(
            nn.Conv2d(in_chans, self.stem_width, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(self.stem_width),
            nn.ReLU(inplace=True),
        )
        blocks: list[nn.Module] = [_ResidualBlock(self.stem_width, self.widths[0], 1)]
        blocks += [_ResidualBlock(inputs, outputs, 2) for inputs, outputs in pairwise(self.widths)]
        super().__init__(stem, blocks, self.widths[-1], num_classes, drop_rate)


class CNNResidualWide(CNNResidual):
    """:class:`CNNResidual` with twice the channels at each size: 64, 128 and 256 on maps of 24, 12 and 6 pixels.

    As many parameters, 1.2 million, and 2.7 times the multiply-adds, 101 million per 48x48 image; of no study.
    """

    widths = (64, 128, 256)


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
            ("cnn_traditional", "blocks.0.0"),
            ("cnn_deeper", "blocks.0.0"),
            ("cnn_global_pooling", "blocks.0.0"),
            ("cnn_simpler", "blocks.0.0"),
            ("cnn_separable", "stem.0"),
            ("cnn_residual", "stem.0"),
            ("cnn_residual_wide", "stem.0"),
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


@register_model
def cnn_residual_wide(pretrained: bool = False, **kwargs: Any) -> CNNResidualWide:
    """Build :class:`CNNResidualWide`."""
    model: CNNResidualWide = build_model_with_cfg(CNNResidualWide, "cnn_residual_wide", pretrained, **kwargs)
    return model


@register_model
def cnn_traditional(pretrained: bool = False, **kwargs: Any) -> CNNTraditional:
    """Build :class:`CNNTraditional`."""
    model: CNNTraditional = build_model_with_cfg(CNNTraditional, "cnn_traditional", pretrained, **kwargs)
    return model


@register_model
def cnn_deeper(pretrained: bool = False, **kwargs: Any) -> CNNDeeper:
    """Build :class:`CNNDeeper`."""
    model: CNNDeeper = build_model_with_cfg(CNNDeeper, "cnn_deeper", pretrained, **kwargs)
    return model


@register_model
def cnn_global_pooling(pretrained: bool = False, **kwargs: Any) -> CNNGlobalPooling:
    """Build :class:`CNNGlobalPooling`."""
    model: CNNGlobalPooling = build_model_with_cfg(CNNGlobalPooling, "cnn_global_pooling", pretrained, **kwargs)
    return model
