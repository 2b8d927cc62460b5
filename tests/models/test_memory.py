"""The memory of a training step, told without computing one."""

from __future__ import annotations

import pytest
import torch

from fer_tune.models import create_model, freeze, stage_count
from fer_tune.models.memory import kept_bytes, step_memory


def measured(name: str, size: int, images: int = 8, depth: int = 0) -> int:
    """Return what a real forward pass keeps."""
    model = create_model(name, num_classes=7, in_chans=3, image_size=size).train()
    for norm in freeze(model, depth):
        norm.eval()
    return kept_bytes(model, torch.rand(images, 3, size, size))


@pytest.mark.parametrize(("name", "size"), [("cnn_residual", 48), ("mobilenetv3_small_050", 64)])
def test_what_is_told_is_what_a_step_keeps(name, size):
    told = step_memory(name, size)
    assert 8 * told.per_image == pytest.approx(measured(name, size), rel=0.05)


def test_weights_count_four_times_and_images_grow_with_their_area():
    small, large = step_memory("cnn_residual", 48), step_memory("cnn_residual", 96)
    assert small.weights == large.weights == 16 * 1_228_199
    assert large.per_image == pytest.approx(4 * small.per_image, rel=0.05)
    assert large.of_batch(10) - large.of_batch(8) == 2 * large.per_image


def test_every_frozen_stage_keeps_less():
    kept = [measured("cnn_deeper", 32, depth=depth) for depth in range(stage_count("cnn_deeper") + 1)]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.05 * kept[0]
