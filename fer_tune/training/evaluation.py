"""Evaluation: metrics of a model on a split, and its predictions image by image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor, nn

from fer_tune.config import TrialConfig
from fer_tune.data.batching.batches import Batches
from fer_tune.data.batching.drawn import Drawn
from fer_tune.data.batching.feature_batches import FeatureBatches
from fer_tune.data.batching.views import Kind
from fer_tune.data.batching.views import views as make_views
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.store import Split
from fer_tune.errors import DamagedWeightsError
from fer_tune.models import check_square, create_model
from fer_tune.models.weights.tensors import read_tensors
from fer_tune.training.metrics import Meter
from fer_tune.training.starting_weights import on_this_machine
from fer_tune.training.steps.captured import Captured, reason_against
from fer_tune.training.steps.cuda_graphs import CudaGraphs
from fer_tune.training.steps.precision import autocast, judging_dtype, set_up_gpu
from fer_tune.training.steps.snapshot import Snapshot

EVALUATION_BATCH = 256  # on 2 cores larger batches were no faster


def evaluation_batch(config: TrialConfig, device: torch.device, parts: int, world: int = 1) -> int:
    """Return how many images a run takes at once where it does not train on them.

    On a GPU as many as in a training step, for cuDNN plans each convolution anew for each shape, which takes it a
    second where it compiles one.

    Args:
        config: ``batch_size``.
        device, world: as in training.
        parts: that training splits its batches into; as many times smaller are these, for the same memory.
    """
    size = EVALUATION_BATCH if device.type == "cpu" else config.batch_size // world
    return max(1, size // parts)


def build_model(config: TrialConfig, card: DatasetCard) -> nn.Module:
    """Build the network of ``config`` for the images and classes of ``card``, channels last in memory.

    Raises:
        UserError: see :func:`fer_tune.models.create_model`; or weights behind a URI cannot be had; or the images are
            not square, and the network takes no others.
    """
    if config.image_size is None:
        check_square(config.backbone, card.height, card.width)
    model = create_model(
        config.backbone,
        num_classes=len(card.classes),
        in_chans=card.channels,
        image_size=config.image_size or card.height,
        pretrained=config.pretrained,
        weights=None if config.weights is None else on_this_machine(config.weights, config.backbone),
        drop_rate=config.drop_rate,
        drop_path_rate=config.drop_path_rate,
        head=config.head,
        classes=card.classes,
    )
    return model.to(memory_format=torch.channels_last)


def load_model(config: TrialConfig, card: DatasetCard, checkpoint: Path, device: torch.device | str) -> nn.Module:
    """Build the network of ``config`` and load trained weights into it, ready to evaluate.

    Raises:
        DamagedWeightsError: they cannot be read, or are those of another network.
    """
    set_up_gpu(device)
    fresh = config.model_copy(update={"pretrained": False, "weights": None})  # all weights come from the checkpoint
    model = build_model(fresh, card)
    try:
        model.load_state_dict(read_tensors(checkpoint)[0])
    except (SafetensorError, OSError, RuntimeError) as error:  # what does not fit is a RuntimeError
        told = str(error).split("\n\t")[:2][-1].strip()  # after PyTorch's headline
        raise DamagedWeightsError(f"{checkpoint}: cut off, or not weights of this {config.backbone}: {told}") from None
    return model.to(device).eval()


class Evaluation:
    """Judges a model on a split, as often as it is called: each image once, in order, without augmentation.

    It computes in the `judging_dtype`, and its loss is without smoothing or class weights.  Like a training step it is
    captured where that can be, with the addresses of the model's tensors: whoever moves them needs a new one.  With
    several ranks each sees its share of the images, and all get the metrics of the whole split, those of rank 0's
    buffers: its are the ones that are kept.

    Args:
        model: in any mode; it is left in evaluation mode.
        batches: the split, or features of it where the model takes those.
        classes: how many there are.
        config: ``precision`` and ``batch_size``.
        device, rank, world: as in training.
        parts: see `evaluation_batch`.

    Attributes:
        size: images of a batch.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Batches | FeatureBatches,
        classes: int,
        config: TrialConfig,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
        parts: int = 1,
    ) -> None:
        self._model, self._batches, self._device, self._rank, self._world = model, batches, device, rank, world
        self._dtype = judging_dtype(config.precision, device)
        self.size = evaluation_batch(config, device, parts, world)
        self._meter = Meter(classes, device, len(batches))
        # Where nothing is captured for a reason known before, the training steps have said it.
        recorder = CudaGraphs(device) if reason_against(device, world) is None else None
        self._run = Captured(self._judge, None, self._snapshot, recorder, what="evaluation")

    def __call__(self) -> dict[str, Any]:
        """Return the metrics of `Meter.result` with the prefix ``val``."""
        if self._world > 1:
            for buffer in self._model.buffers():
                dist.broadcast(buffer, src=0)
        for _ in self.batches():
            pass
        return self._meter.result("val")

    @property
    def held(self) -> float:
        """Memory of its graphs in MiB, see `Captured.held`."""
        return self._run.held

    def batches(self) -> Iterator[None]:
        """Judge a batch with each ``next``, for who takes the time of one."""
        self._model.eval()
        self._meter.clear()
        for drawn in self._batches.in_order(self.size, self._rank, self._world):
            self._run(drawn.chosen, drawn.pixels)
            yield

    def release(self) -> None:
        """Give up what is captured, and its memory."""
        self._run.release()

    def _judge(self, chosen: Tensor, pixels: Tensor | None) -> None:
        """Count the images ``chosen``, see `Drawn`."""
        with torch.no_grad():
            images, labels, *_ = self._batches.made(Drawn(chosen, pixels=pixels))
            with autocast(self._dtype, self._device):
                logits = self._model(images)
            logits = logits.float()
            self._meter.update(logits, labels, nn.functional.cross_entropy(logits, labels))

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._meter.tensors(), None, self._device)


def predict(
    model: nn.Module,
    split: Split,
    card: DatasetCard,
    device: torch.device | str,
    batch_size: int = EVALUATION_BATCH,
    *,
    views: Kind = "none",
    image_size: int | None = None,
    precision: str = "auto",
) -> npt.NDArray[np.float32]:
    """Return class probabilities, (N, classes) float32, in the order of the split.

    Args:
        views: test-time augmentation, see :func:`fer_tune.data.batching.views.views`; the probabilities of an image's
            views are averaged.
        image_size: what the model was trained with.
        precision: what it was trained with, see :func:`fer_tune.training.steps.precision.judging_dtype`.
    """
    device = torch.device(device)
    dtype = judging_dtype(precision, device)
    model.eval()
    fixed = getattr(model, "pretrained_cfg", {}).get("fixed_input_size")  # such a network takes no smaller crop
    side = (image_size or card.height) if fixed else None
    found: list[Tensor] = []
    with torch.inference_mode():
        for images, _ in Batches(split, card, device, image_size).evaluation(batch_size):
            seen = make_views(images, views, side)  # (B, V, C, H, W)
            with autocast(dtype, device):
                logits = model(seen.flatten(0, 1).contiguous(memory_format=torch.channels_last))
            found.append(logits.float().softmax(1).unflatten(0, seen.shape[:2]).mean(1).cpu())
    probabilities: npt.NDArray[np.float32] = torch.cat(found).numpy()
    return probabilities
