from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from fer_tune.data.batching.views import VIEWS, views


def images(height=48, width=48):
    return torch.rand(3, 2, height, width, generator=torch.Generator().manual_seed(0))


def test_none_is_the_image_alone():
    assert torch.equal(views(images(), "none")[:, 0], images())


def test_flip_is_the_image_and_its_mirror_image():
    first, second = views(images(), "flip").unbind(1)
    assert torch.equal(first, images())
    assert torch.equal(second, v2.functional.horizontal_flip(images()))


@pytest.mark.parametrize(("height", "width", "crop"), [(48, 48, (40, 40)), (100, 100, (83, 83)), (49, 32, (41, 27))])
def test_ten_crop_is_that_of_torchvision_with_five_sixths_of_the_side(height, width, crop):
    given = images(height, width)
    expected = torch.stack(v2.TenCrop(crop)(given), dim=1)
    assert torch.equal(views(given, "ten_crop"), expected)


@pytest.mark.parametrize("kind", VIEWS)
def test_views_can_be_brought_to_one_size(kind):
    found = views(images(), kind, size=32)
    assert found.shape == (3, VIEWS[kind], 2, 32, 32)
    expected = v2.functional.resize(views(images(), kind)[:, 0], [32, 32], antialias=True)
    assert torch.allclose(found[:, 0], expected, atol=1e-6)


def test_unknown_views_are_refused():
    with pytest.raises(ValueError, match="no views called 'five_crop'; there are none, flip, ten_crop"):
        views(images(), "five_crop")
