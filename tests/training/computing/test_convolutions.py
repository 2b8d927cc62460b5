"""Convolutions that go another way on a CPU compute what PyTorch's compute."""

import copy

import pytest
import torch
from torch import Tensor, nn

from fer_tune.models import create_model
from fer_tune.training.computing.convolutions import compute_otherwise, has_other_in_float32, other_ways

MULTIPLIED = "_MultipliedBackward"  # the name of the step, of columns and by channel
ONE_OF_EACH = (nn.Conv2d(224, 96, 3, padding=1), nn.Conv2d(96, 96, 3, padding=1, groups=96))


def both(conv: nn.Conv2d) -> tuple[nn.Conv2d, nn.Conv2d]:
    plain = conv.to(memory_format=torch.channels_last)
    other = copy.deepcopy(plain)
    compute_otherwise(other, [""])  # its name in itself
    return plain, other


def steps_behind(out: Tensor) -> set[str]:
    found, waiting = set(), [out.grad_fn]
    while waiting:
        if (node := waiting.pop()) is not None:
            found.add(type(node).__name__)
            waiting += [before for before, _ in node.next_functions]
    return found


def run(conv: nn.Module, x: Tensor, mixed: bool = False) -> tuple[Tensor, ...]:
    """Return the result and the gradients of the input and of every weight."""
    x = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    conv.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        out = conv(x)
    weights = torch.linspace(-1, 1, out.numel()).view(out.shape)
    (out.float() * weights).sum().backward()
    assert x.grad is not None
    return out, x.grad, *[p.grad for p in conv.parameters() if p.grad is not None]


@pytest.mark.parametrize(
    ("conv", "side"),
    [
        (nn.Conv2d(256, 96, 3, padding=1), 1),
        (nn.Conv2d(224, 96, 3, padding=1, bias=False), 2),
        (nn.Conv2d(224, 96, 3, stride=2, padding=1), 3),
        (nn.Conv2d(256, 240, (3, 1), stride=(1, 2), padding=(1, 0)), 2),
        (nn.Conv2d(256, 192, 2, stride=2), 4),
        (nn.Conv2d(160, 160, 1), 2),
        (nn.Conv2d(512, 384, 1, stride=2, bias=False), 2),
        (nn.Conv2d(96, 96, 5, padding=2, groups=96, bias=False), 2),
        (nn.Conv2d(40, 40, 3, stride=2, padding=1, groups=40), 8),
        (nn.Conv2d(40, 40, (3, 5), stride=(1, 2), padding=(0, 2), groups=40), 5),
        (nn.Conv2d(40, 40, 3, padding=2, dilation=2, groups=40), 4),
        (nn.Conv2d(64, 64, 7, padding=3, groups=64), 1),
    ],
    ids=str,
)
def test_small_map_gives_the_same_result_and_gradients(conv: nn.Conv2d, side: int) -> None:
    torch.manual_seed(0)
    plain, quick = both(conv)
    x = torch.randn(5, conv.in_channels, side, side)
    expected, found = run(plain, x), run(quick, x)
    assert MULTIPLIED in steps_behind(found[0])
    assert len(found) == len(expected) == (3 if conv.bias is None else 4)
    for one, other in zip(expected, found, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


def test_bf16_answers_in_bf16() -> None:
    plain, quick = both(nn.Conv2d(128, 128, 3, padding=1))
    x = torch.randn(4, 128, 3, 3)
    expected, found = run(plain, x, mixed=True), run(quick, x, mixed=True)
    assert MULTIPLIED in steps_behind(found[0])
    assert found[0].dtype == torch.bfloat16
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other.float(), one.float(), rtol=0.05, atol=0.02 * float(one.detach().abs().max()))


def test_evaluation_goes_pytorch_s_way() -> None:
    plain, quick = both(nn.Conv2d(64, 64, 3, padding=1))
    x = torch.randn(2, 64, 2, 2)
    assert MULTIPLIED in steps_behind(quick(x))
    quick.eval()
    assert MULTIPLIED not in steps_behind(quick(x))
    assert torch.equal(plain(x), quick(x))


def test_those_named_go_the_other_way_and_all_others_back() -> None:
    model = create_model("resnet18", num_classes=7, in_chans=1, image_size=48)
    plain = {name: type(module) for name, module in model.named_modules()}
    names = list(other_ways(model))
    compute_otherwise(model, names[:3])
    changed = [name for name, module in model.named_modules() if type(module) is not plain[name]]
    assert changed == names[:3]
    assert list(other_ways(model)) == names  # whichever way they go now
    compute_otherwise(model, [])
    assert {name: type(module) for name, module in model.named_modules()} == plain


def test_an_unknown_name_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Linear(4, 4))
    with pytest.raises(KeyError, match="no other way to compute 1"):
        compute_otherwise(model, ["0", "1"])
    assert type(model[0]) is nn.Conv2d


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(128, 96, 3, padding=2, dilation=2),
        nn.Conv2d(128, 96, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(128, 96, 3, padding="same"),
    ],
    ids=str,
)
def test_unusual_convolution_has_no_other_way(conv: nn.Conv2d) -> None:
    assert not other_ways(conv)


def test_subclass_has_its_own_way() -> None:
    class Own(nn.Conv2d):
        pass

    assert not other_ways(Own(8, 8, 3))


@pytest.mark.parametrize(
    ("conv", "side", "multiplied"),
    [
        (nn.Conv2d(16, 16, 3, padding=1, groups=16), 8, True),
        (nn.Conv2d(16, 16, 3, padding=1, groups=16), 9, False),  # a map of more than 64 pixels
        (nn.Conv2d(16, 32, 3, padding=1, groups=16), 4, False),  # two outputs of each channel
        (nn.Conv2d(16, 16, 3, padding=1, groups=4), 4, False),
    ],
    ids=str,
)
def test_grouped_convolution_computes_in_float32_among_others_in_bf16(
    conv: nn.Conv2d, side: int, multiplied: bool
) -> None:
    plain, quick = both(conv)
    x = torch.randn(4, 16, side, side)
    with torch.autocast("cpu", torch.bfloat16):
        found = quick(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, plain(x).bfloat16(), rtol=1e-2, atol=1e-5)  # of bf16 that is one rounding
    assert (MULTIPLIED in steps_behind(quick(x))) is multiplied
    assert has_other_in_float32(quick, x) is multiplied
    assert multiplied or torch.equal(quick(x), plain(x))  # float32 stays what it is


@pytest.mark.parametrize("conv", ONE_OF_EACH, ids=str)
def test_what_follows_may_write_into_the_result(conv: nn.Conv2d) -> None:
    plain, quick = (nn.Sequential(conv, nn.SiLU(inplace=True)) for conv in both(conv))
    x = torch.randn(3, conv.in_channels, 2, 2)
    for one, other in zip(run(plain, x), run(quick, x), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("conv", ONE_OF_EACH, ids=str)
def test_frozen_weight_gets_no_gradient(conv: nn.Conv2d) -> None:
    quick = both(conv)[1].requires_grad_(False)
    x = torch.randn(3, conv.in_channels, 2, 2, requires_grad=True)
    quick(x).sum().backward()
    assert [p.grad for p in quick.parameters()] == [None, None]
    assert x.grad is not None


def test_weights_keep_their_names_and_layout() -> None:
    plain, quick = both(nn.Conv2d(224, 96, 3, padding=1))
    assert list(plain.state_dict()) == list(quick.state_dict())
    _, _, of_weight, _ = run(quick, torch.randn(3, 224, 2, 2))
    assert of_weight.is_contiguous(memory_format=torch.channels_last)


def test_batch_without_images_stays_one() -> None:
    quick = both(nn.Conv2d(224, 96, 3, padding=1))[1]
    assert quick(torch.empty(0, 224, 2, 2)).shape == (0, 96, 2, 2)
