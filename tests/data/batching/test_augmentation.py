from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from fer_tune.config import TRANSFORMS, trial_config
from fer_tune.data.batching import degrading
from fer_tune.data.batching.augmentation import Augmentation, apply, draw
from fer_tune.data.batching.degrading import blurred, compressed
from fer_tune.data.batching.hues import colour_matrix
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
    to_pixels = torch.diag(torch.tensor([24.0, 20.0]))  # a rotation is one of pixels, whatever the sides are
    turned = to_pixels.inverse() @ parameters.affine[:, :, :2] @ to_pixels
    affine = torch.cat([turned, parameters.affine[:, :, 2:]], dim=2)
    grid = torch.nn.functional.affine_grid(affine, [16, 3, 40, 48], align_corners=False)
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


def test_a_bar_that_is_turned_in_an_image_that_is_not_square_keeps_its_shape():
    images = torch.zeros(2, 1, 64, 128)
    images[0, 0, 30:34, 44:84] = 1  # 40 wide, 4 high
    parameters = only(drawn(0.0, 2))
    parameters.affine[:, :, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    out = apply(images, parameters)[0, 0] > 0.5
    assert (int(out.any(0).sum()), int(out.any(1).sum())) == (4, 40)
    parameters.affine[:, :, :2] = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    assert 150 < apply(images, parameters)[0].sum() < 170  # 160 pixels, whatever the angle


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
    parameters = draw(2000, strength, torch.Generator().manual_seed(0), transforms, channels=3)
    colour, blur, jpeg = parameters.colour, parameters.blur, parameters.jpeg
    saturation, hue = torch.tensor([1.0, 0.0]).expand(2000, 2).unbind(1) if colour is None else colour.unbind(1)
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
        "saturation": torch.log(saturation.where(saturation > 0, 1.0)),
        "hue": hue,
        "greyscale": (saturation == 0).float(),
        "blur": torch.zeros(2000) if blur is None else 60 * blur,
        "jpeg": torch.zeros(2000) if jpeg is None else jpeg,
    }


NAMED = [["flip"], ["rotation", "shear"], ["scale", "erasing"], ["hue", "jpeg"], ["saturation", "greyscale", "blur"]]


@pytest.mark.parametrize("names", [*NAMED, list(TRANSFORMS)])
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


def test_grey_images_are_augmented_as_before_and_coloured_ones_draw_the_rest_the_same():
    grey = draw(64, 0.7, torch.Generator().manual_seed(0))
    colour = draw(64, 0.7, torch.Generator().manual_seed(0), channels=3)
    assert (grey.colour, grey.blur, grey.jpeg) == (None, None, None)
    for name in ("affine", "brightness", "contrast", "erase"):
        assert torch.equal(getattr(grey, name), getattr(colour, name))
    named = draw(64, 0.7, torch.Generator().manual_seed(0), "flip+blur+jpeg")
    assert named.colour is None
    assert torch.equal(named.blur, colour.blur)
    assert torch.equal(named.jpeg, colour.jpeg)
    out = apply(faces(), named)
    assert out.shape == (64, 1, 48, 48)
    assert not torch.equal(out, apply(faces(), draw(64, 0.7, torch.Generator().manual_seed(0), "flip")))


def test_ranges_of_colours_blur_and_compression():
    parameters = draw(8000, 1.0, torch.Generator().manual_seed(0), channels=3)
    saturation, hue = parameters.colour.unbind(1)
    assert 0.18 < float((saturation == 0).float().mean()) < 0.22  # odds of 0.2; 4 standard errors
    assert 1.8 < saturation.max() <= 1.823  # exp(0.6)
    assert 0.548 <= saturation[saturation > 0].min() < 0.56
    assert 29 < torch.rad2deg(hue).abs().max() <= 30.01
    assert 0.48 < float((parameters.blur > 0).float().mean()) < 0.52
    assert 0.99 / 60 < parameters.blur.max() <= 1 / 60
    assert 0.48 < float((parameters.jpeg > 0).float().mean()) < 0.52
    assert parameters.jpeg[parameters.jpeg > 0].min() == 30
    assert parameters.jpeg.max() == 100


def test_colours_turn_and_fade_and_keep_their_luminance():
    images = torch.rand(4, 3, 6, 8, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    luma = torch.tensor([0.213, 0.715, 0.072])
    saturation, hue = torch.tensor([1.0, 0.0, 1.4, 1.0]), torch.tensor([0.0, 0.3, 0.0, 0.5])
    out = torch.einsum("bdc,bchw->bdhw", colour_matrix(saturation, hue), images)
    assert torch.allclose(out[0], images[0], atol=1e-6)
    assert torch.allclose(out[1], torch.einsum("c,chw->hw", luma, images[1]).expand(3, -1, -1), atol=1e-3)
    for place in range(4):
        brightness = [torch.einsum("c,chw->hw", luma, each[place]) for each in (images, out)]
        assert torch.allclose(*brightness, atol=2e-3)  # the standard rounds its matrices to three digits
    grey = images[2].mean(0)
    assert float((out[2] - out[2].mean(0)).norm()) > float((images[2] - grey).norm())
    assert not torch.allclose(out[3], images[3], atol=0.02)
    third = colour_matrix(torch.ones(1), torch.full((1,), 2 * torch.pi / 3))[0]
    assert torch.allclose(torch.linalg.matrix_power(third, 3), torch.eye(3), atol=0.02)  # three thirds of a turn


@pytest.mark.parametrize("size", [(48, 48), (41, 30)])
def test_blur_is_a_gaussian_of_each_image(size):
    images = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(0))
    out = blurred(images, torch.tensor([0.0, 0.8, 1.5]), 1.5)
    assert torch.equal(out[0], images[0])
    for place, sigma in ((1, 0.8), (2, 1.5)):
        for channel in range(3):
            expected = gaussian_filter(images[place, channel].numpy(), sigma, mode="nearest", radius=5)
            assert out[place, channel].numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [30, 75, 95])
def test_compression_is_that_of_a_jpeg_file(channels, quality):
    images = faces(4, channels)[..., :45]  # sides that are no multiples of 8
    bytes_ = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    out = compressed(torch.from_numpy(bytes_).permute(0, 3, 1, 2) / 255, torch.tensor([0.0, *[quality] * 3]))
    assert torch.equal(out[0] * 255, torch.from_numpy(bytes_[0]).permute(2, 0, 1).float())
    for place in (1, 2, 3):
        stream = io.BytesIO()
        Image.fromarray(bytes_[place].squeeze()).save(stream, "JPEG", quality=quality, subsampling=2)
        expected = np.asarray(Image.open(stream)).reshape(48, 45, channels).astype(float)
        ours = (out[place].permute(1, 2, 0).numpy() * 255).round()
        assert np.abs(ours - expected).mean() < (1.5 if channels == 3 else 0.6)  # libjpeg rounds on the way
        assert np.abs(ours - expected).mean() < 0.6 * np.abs(bytes_[place] - expected).mean()


def test_all_and_only_those_that_something_was_drawn_for_comes_to_the_same():
    """On a CPU the latter, on a GPU the former, which has one shape whatever is drawn."""
    images = faces(32, 3).contiguous(memory_format=torch.channels_last)
    parameters = draw(32, 0.9, torch.Generator().manual_seed(0), channels=3)
    sigma, quality = parameters.blur * 48, parameters.jpeg
    every = torch.where(sigma.view(-1, 1, 1, 1) > 0, degrading._blurred(images, sigma, 0.8), images)
    assert torch.allclose(blurred(images, sigma, 0.8), every, atol=1e-6)
    every = torch.where(quality.view(-1, 1, 1, 1) > 0, degrading._compressed(images, quality), images)
    assert torch.allclose(compressed(images, quality), every, atol=1e-6)
