"""What is drawn for one training batch: where its images are, how each is augmented, and with which it is mixed."""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

from torch import Tensor

from fer_tune.data.batching.augmentation import Augmentation
from fer_tune.data.batching.mixing import MixingOnDevice


class Drawn(NamedTuple):
    """Plain tensors on the device, so that a captured step can have them copied into buffers of its own.

    G images are gathered, B of them are this rank's batch.  Fields are None where nothing is augmented or mixed.
    """

    chosen: Tensor  # (G,) int64, places in the split; the batch's own come first
    affine: Tensor | None = None  # (G, 2, 3) float32, and so on: see `Augmentation`
    brightness: Tensor | None = None
    contrast: Tensor | None = None
    erase: Tensor | None = None
    colour: Tensor | None = None
    blur: Tensor | None = None
    jpeg: Tensor | None = None
    partner: Tensor | None = None  # (B,) int64, whose image is mixed in: a place among those gathered
    share: Tensor | None = None  # () float32, and so on: see `MixingOnDevice`
    outside: Tensor | None = None
    box: Tensor | None = None
    voted: Tensor | None = None  # (G,) int64, the class that was drawn from the votes for each image
    pixels: Tensor | None = None  # (G, H, W, C) uint8, where the device does not hold the split, see `Feed`

    @classmethod
    def of(
        cls,
        chosen: Tensor,
        augmentation: Augmentation | None,
        partner: Tensor | None = None,
        mixing: MixingOnDevice | None = None,
        voted: Tensor | None = None,
    ) -> Drawn:
        """Put together what is drawn of each kind."""
        drawn = cls(chosen, partner=partner, voted=voted)
        if augmentation is not None:
            a = augmentation
            drawn = drawn._replace(**{each.name: getattr(a, each.name) for each in fields(a)})
        if mixing is not None:
            drawn = drawn._replace(share=mixing.share, outside=mixing.outside, box=mixing.box)
        return drawn

    @property
    def augmentation(self) -> Augmentation | None:
        """How the images are augmented."""
        if self.affine is None or self.brightness is None or self.contrast is None or self.erase is None:
            return None
        return Augmentation(self.affine, self.brightness, self.contrast, self.erase, self.colour, self.blur, self.jpeg)

    @property
    def mixing(self) -> MixingOnDevice | None:
        """How the images are mixed."""
        if self.share is None or self.outside is None or self.box is None:
            return None
        return MixingOnDevice(self.share, self.outside, self.box)
