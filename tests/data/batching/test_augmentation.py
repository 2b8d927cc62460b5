from __future__ import annotations

import pytest
import torch

from fer_tune.config import TRANSFORMS, trial_config
from fer_tune.data.batching.augmentation import Augmentation, apply, draw
from fer_tune.errors import UserError


def faces(count: int = 64, channels: int = 1) -> torch.Tensor:
    """Smooth images, so that a resampling changes little where it should change nothing."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(48, 48), mode="bicubic").clamp(0, 1)


def drawn(strength: float, count: int = 64, seed: int = 0) -> Augmentation:
    return draw(count, strength, torch.Generator().manual_seed(seed))


def only(parameters: Augmentation, *names: str) -> Augmentation:
    """The identity but for the named parameters."""
    still = drawn(0.0, len(parameters.brightness))
    affine = still.affine.clone()
    affine[:, 0] = affine[:, 0].abs()  # no flip either
    kept = {name: getattr(parameters, name) for name in names}
    fields = {"affine": affine, "brightness": still.brightness, "contrast": still.contrast, "erase": still.erase}
    return Augmentation(**{**fields, **kept})


def test_at_strength_zero_only_the_flip_is_left():
    images = faces()
    parameters = drawn(0.0)
    out = apply(images, parameters)
    flipped = parameters.affine[:, 0, 0] < 0
    assert 0 < flipped.sum() < 64
    assert torch.allclose(out[flipped], images[flipped].flip(3), atol=1e-5)
    assert torch.allclose(out[~flipped], images[~flipped], atol=1e-5)


@pytest.mark.parametrize("name", ["affine", "brightness", "contrast", "erase"])
def test_each_part_changes_the_images_more_at_more_strength(name):
    images = faces(256)
    change = []
    for strength in (0.25, 1.0):
        parameters = only(drawn(strength, 256), name)
        if name == "affine":
            parameters.affine[:, 0] *= torch.sign(parameters.affine[:, 0, :1])  # leave the flip out
        change.append(float((apply(images, parameters) - images).abs().mean()))
    assert 0 < change[0] < change[1]


def test_ranges_at_full_strength():
    parameters = drawn(1.0, 4000)
    x, y = parameters.affine[:, 0], parameters.affine[:, 1]
    scale = (y[:, 0] ** 2 + x[:, 0] ** 2).rsqrt()
    angle = torch.rad2deg(torch.atan2(y[:, 0], x[:, 0].abs()))
    assert 1.26 < scale.max() < 1.285  # exp(0.25)
    assert 0.778 < scale.min() < 0.79
    assert 29 < angle.abs().max() <= 30.01
    assert 0.39 < parameters.affine[:, :, 2].abs().max() <= 0.4
    assert 0.39 < parameters.brightness.abs().max() <= 0.4
    sides = parameters.erase[:, 2:] - parameters.erase[:, :2]
    assert 0.45 < float((sides.prod(1) > 0).float().mean()) < 0.55
    assert sides.max() <= 0.5


def test_every_image_draws_its_own_and_a_seed_repeats_them():
    parameters = drawn(0.5)
    assert len(parameters.affine.unique(dim=0)) == 64
    assert torch.equal(parameters.affine, drawn(0.5).affine)
    assert not torch.equal(parameters.affine, drawn(0.5, seed=1).affine)


def test_a_part_of_a_batch_is_augmented_as_in_the_whole():
    images, parameters = faces(16, 3), drawn(0.8, 16)
    assert torch.allclose(apply(images, parameters)[4:9], apply(images[4:9], parameters[4:9]), atol=1e-6)


def test_stays_in_range_and_keeps_the_memory_format():
    images = faces(16, 3).contiguous(memory_format=torch.channels_last)
    out = apply(images, drawn(1.0, 16))
    assert out.shape == images.shape
    assert out.min() >= 0
    assert out.max() <= 1


def test_what_is_done_is_written_out_here_once_more():
    generator = torch.Generator().manual_seed(0)
    images, parameters = torch.rand(16, 3, 40, 48, generator=generator), drawn(1.0, 16)
    grid = torch.nn.functional.affine_grid(parameters.affine, [16, 3, 40, 48], align_corners=False)
    expected = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    for place, image in enumerate(expected):
        mean = image.mean()
        image.copy_((image - mean) * parameters.contrast[place] + mean + parameters.brightness[place])
        left, top, right, bottom = parameters.erase[place].tolist()
        columns = [column for column in range(48) if left < (column + 0.5) / 48 < right]
        rows = [row for row in range(40) if top < (row + 0.5) / 40 < bottom]
        for row in rows:
            image[:, row, columns] = mean
    assert sum(parameters.erase[:, 2] > parameters.erase[:, 0]) > 3
    assert torch.allclose(apply(images, parameters), expected.clamp(0, 1), atol=1e-4)


@pytest.mark.parametrize("size", [48, 60, 96])
def test_enlarging_without_other_geometry_is_bilinear_enlarging(size):
    images = torch.rand(8, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    still = only(drawn(0.0, 8))
    expected = torch.nn.functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    assert torch.allclose(apply(images, still, size), expected, atol=1e-4)


def test_enlarging_is_one_resampling_with_the_rest():
    images = torch.rand(16, 1, 48, 48, generator=torch.Generator().manual_seed(0))  # noise shows every resampling
    parameters = only(drawn(0.5, 16), "affine")
    once = apply(images, parameters, 96)
    twice = torch.nn.functional.interpolate(apply(images, parameters), size=(96, 96), mode="bilinear")
    assert once.shape == twice.shape == (16, 1, 96, 96)
    assert once.std() > 1.1 * twice.std()  # a second resampling blurs


def test_shrinking_comes_after_the_geometry_and_is_antialiased():
    images, parameters = faces(16), drawn(0.5, 16)
    expected = torch.nn.functional.interpolate(apply(images, parameters), (20, 20), mode="bilinear", antialias=True)
    assert torch.allclose(apply(images, parameters, 20), expected, atol=1e-6)


def changes(strength: float, transforms: str) -> dict[str, torch.Tensor]:
    """What is drawn, in terms of the transforms: how far each is from doing nothing, per image."""
    parameters = draw(2000, strength, torch.Generator().manual_seed(0), transforms)
    (a, b, x), (c, d, y) = parameters.affine.unbind(1)[0].unbind(1), parameters.affine.unbind(1)[1].unbind(1)
    flip = torch.sign(a)
    a, b = a * flip, b * flip
    return {
        "flip": (flip < 0).float(),
        "rotation": torch.atan2(c, a),
        "scale": torch.log((a**2 + c**2).sqrt()),
        "translation": x.abs() + y.abs(),
        "shear": (a * b + c * d) / (a**2 + c**2),
        "brightness": parameters.brightness,
        "contrast": torch.log(parameters.contrast),
        "erasing": (parameters.erase[:, 2:] - parameters.erase[:, :2]).prod(1),
    }


@pytest.mark.parametrize("names", [["flip"], ["rotation", "shear"], ["scale", "erasing"], list(TRANSFORMS)])
def test_only_the_transforms_that_are_named_are_drawn_and_they_as_among_all(names):
    every, some = changes(0.8, "all"), changes(0.8, "+".join(names))
    for name in TRANSFORMS:
        if name in names:
            assert every[name].abs().max() > 0.05
            assert torch.allclose(some[name], every[name], atol=1e-5)
        else:
            assert some[name].abs().max() < 1e-5


@pytest.mark.parametrize(
    ("given", "kept"),
    [("all", "all"), (["shear", "flip"], "flip+shear"), ("erasing+flip+flip", "flip+erasing"), (TRANSFORMS, "all")],
)
def test_transforms_are_named_in_one_order(given, kept):
    assert trial_config({"backbone": "resnet18", "epochs": 1, "transforms": given}).transforms == kept


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("flip+rotate", r"transforms: 'rotate' is no transform; did you mean 'rotation'"),
        ("", r"'' is no transform; they are flip, rotation"),
        ([], "none is left; augmentation: 0 turns them all off"),
        (0.5, r"'0.5' is no transform"),
    ],
)
def test_transforms_that_are_none(given, told):
    with pytest.raises(UserError, match=told):
        trial_config({"backbone": "resnet18", "epochs": 1, "transforms": given})
