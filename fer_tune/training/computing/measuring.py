"""Which numbers, and which way of each convolution, train a network quickest on this processor: some timed steps.

First each distinct convolution is timed by itself, forward and backward, in its two ways (see
`fer_tune.training.computing.convolutions`).  Then whole training steps are timed in turns: float32 and bf16, each with
PyTorch's convolutions and with those that were quicker.  So a plan is compared with the plain ones as it would train,
and what a convolution gains by itself and loses among others is seen.  It takes about as long as forty plain steps.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fer_tune.config import TrialConfig
from fer_tune.models import freeze
from fer_tune.training.computing.convolutions import compute_otherwise, has_other_in_float32, other_ways
from fer_tune.training.learning.optimisers import build_optimizer
from fer_tune.training.processor import multiplies_bf16, processor
from fer_tune.training.steps.precision import autocast
from fer_tune.training.steps.step import Step

TYPES: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16}
"""Names of the settings -> type for autocast."""

_CPU = torch.device("cpu")
_CONVOLUTION_LAPS = 5  # of which the least counts: what else the machine does only ever adds
_CLEAR = 1.25  # times quicker, seen twice: no more laps are needed
_LAPS, _LONG_ENOUGH = 8, 1.0  # of whole steps, which decide: eight, and more of short ones, for one second in all
_SHARE = 0.25  # of the time, for the convolutions in each type: the rest is for whole steps
_SECONDS, _OF_RUN, _MOST = 2.0, 0.05, 30.0  # what measuring may take: nobody waits for two seconds, and it pays later
_HOPELESS = 1.25  # times the quickest after two laps: noise between laps is a tenth on a busy machine
_GAIN = 0.97  # of the plain time, for a convolution to go the other way: nearer is within the noise


@dataclass(frozen=True)
class Workload:
    """What a step trains; the rest of a trial's settings costs the same however the network is computed.

    Attributes:
        backbone, head, freeze_depth: as in `TrialConfig`.
        batch: images a step, of one rank.
        channels, height, width: of the images, in pixels.
        classes: of the labels.
    """

    backbone: str
    head: str
    freeze_depth: int
    batch: int
    channels: int
    height: int
    width: int
    classes: int


@dataclass(frozen=True)
class Candidate:
    """A way to compute a whole step, and what it took.

    Attributes:
        precision: ``fp32`` or ``bf16``.
        otherwise: names of the convolutions that go the other way.
        seconds: of a step, the least of some.
    """

    precision: str
    otherwise: tuple[str, ...]
    seconds: float


Timer = Callable[[nn.Module, torch.dtype | None, Callable[[], object]], float]
"""Takes what is computed, the type for autocast and the call to time; returns seconds."""


def by_the_clock(module: nn.Module, dtype: torch.dtype | None, call: Callable[[], object]) -> float:
    """See `Timer`."""
    began = clock()
    call()
    return clock() - began


def clock() -> float:
    """Return seconds.

    With one thread, as most trials have, those of the processor: what others do beside then hardly disturbs.  Several
    threads wait for each other by spinning, so that only the wall clock tells.
    """
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def measure(model: nn.Module, load: Workload, steps: int, timer: Timer = by_the_clock) -> list[Candidate]:
    """Time the ways to train a copy of ``model`` on a CPU; float32 with PyTorch's convolutions comes first.

    Neither ``model`` nor the process's random numbers are touched.

    Args:
        model: as it was built, on the CPU.
        load: what it is trained on; the images are noise.
        steps: of the run that asks.  Measuring may take two seconds or a twentieth of it, at most half a minute; then
            a convolution that was not timed yet is left as it is, and no lap is begun but the first of each way.
        timer: what times; tests have one of their own.

    Raises:
        RuntimeError: it cannot be trained in float32.  A type that the processor or the network lacks is left out, and
            bf16 on a processor without instructions for it.
    """
    with torch.random.fork_rng(devices=[]):
        training = _Training(copy.deepcopy(model), load)
        plain = _lap(training, "fp32", (), by_the_clock)
        plain()
        budget = min(max(_SECONDS, _OF_RUN * steps * plain()), _MOST)
        began = clock()
        tried: list[tuple[str, tuple[str, ...]]] = []
        for precision, dtype in _tried_types().items():
            tried.append((precision, ()))
            try:
                quicker = _quicker_otherwise(training, dtype, timer, clock() + _SHARE * budget)
            except RuntimeError:
                if dtype is None:
                    raise
                tried.pop()
                continue
            if quicker:
                tried.append((precision, quicker))
        taken = _in_turns([_lap(training, precision, names, timer) for precision, names in tried], began + budget)
    return [Candidate(*way, seconds) for way, seconds in zip(tried, taken, strict=True)]


def _tried_types() -> dict[str, torch.dtype | None]:
    """Return `TYPES`, but bf16 only where the processor has instructions for it.

    Where it has none a single step can take longer than all that measuring may: 39 s of `resnet18` at batch 64, on one
    thread of an AMD EPYC without AVX-512 (family 25, model 1; torch 2.15), and 1 s in float32.
    """
    return {name: dtype for name, dtype in TYPES.items() if dtype is None or multiplies_bf16(processor())}


class _Training:
    """The throw-away copy and a batch of noise for it."""

    def __init__(self, model: nn.Module, load: Workload) -> None:
        self.model = model.train()
        for module in freeze(model, load.freeze_depth):
            module.eval()
        plain: dict[str, Any] = {"backbone": load.backbone, "head": load.head, "freeze_depth": load.freeze_depth}
        config = TrialConfig(**plain, epochs=1)
        optimizer = build_optimizer(model, config)
        self.steps = {
            name: Step(model, optimizer, nn.CrossEntropyLoss(), config, _CPU, dtype) for name, dtype in TYPES.items()
        }
        images = torch.randn(load.batch, load.channels, load.height, load.width)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, load.classes, (load.batch,))


def _lap(training: _Training, precision: str, names: tuple[str, ...], timer: Timer) -> Callable[[], float]:
    def lap() -> float:
        compute_otherwise(training.model, names)
        step = training.steps[precision]
        return timer(training.model, TYPES[precision], lambda: step(training.images, training.labels))

    return lap


def _in_turns(laps: list[Callable[[], float]], ends: float) -> list[float]:
    """Return the least seconds of each; what is hopeless after two laps is not timed again."""
    for lap in laps:
        lap()  # the first of each prepares its kernels
    began = clock()
    least = [lap() for lap in laps]
    number = 1
    while (now := clock()) < ends and (number < _LAPS or now < began + _LONG_ENOUGH):
        number += 1
        for place, lap in enumerate(laps):
            if number <= 2 or least[place] < _HOPELESS * min(least):
                least[place] = min(least[place], lap())
    return least


def _quicker_otherwise(training: _Training, dtype: torch.dtype | None, timer: Timer, ends: float) -> tuple[str, ...]:
    """Return the convolutions that are quicker the other way, forward and backward, each timed by itself."""
    compute_otherwise(training.model, ())
    alike: dict[tuple[Any, ...], list[str]] = {}
    inputs: dict[tuple[Any, ...], Tensor] = {}
    for name, conv, x in _inputs(training, dtype):
        if dtype is None and not has_other_in_float32(conv, x):
            continue
        key = _geometry(conv, x)
        alike.setdefault(key, []).append(name)
        inputs[key] = x
    convolutions = other_ways(training.model)
    found: list[str] = []

    def work(key: tuple[Any, ...]) -> float:
        return float(len(alike[key]) * convolutions[alike[key][0]].weight.numel() * inputs[key][0, 0].numel())

    for key in sorted(alike, key=work, reverse=True):  # should the time be over, what matters least is left
        names = alike[key]
        if clock() < ends and _otherwise_is_quicker(convolutions[names[0]], inputs[key], dtype, timer):
            found += names
    return tuple(found)


def _inputs(training: _Training, dtype: torch.dtype | None) -> Iterator[tuple[str, nn.Conv2d, Tensor]]:
    """Yield each convolution that has another way, with an empty tensor like what it is given in training."""
    seen: dict[str, Tensor] = {}
    ways = other_ways(training.model)

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_: nn.Module, given: tuple[Any, ...]) -> None:
            seen[name] = torch.empty_like(given[0], device="meta").requires_grad_(given[0].requires_grad)

        return hook

    hooks = [conv.register_forward_pre_hook(note(name)) for name, conv in ways.items()]
    try:
        with autocast(dtype, _CPU):
            training.model(training.images)
    finally:
        for hook in hooks:
            hook.remove()
    for name, x in seen.items():
        yield name, ways[name], x


def _geometry(conv: nn.Conv2d, x: Tensor) -> tuple[Any, ...]:
    """Return what two convolutions have in common that take the same time."""
    own = (conv.weight.shape, conv.bias is None, conv.stride, conv.padding, conv.dilation, conv.groups)
    return (*own, conv.weight.requires_grad, x.shape, x.dtype, x.requires_grad)


def _otherwise_is_quicker(conv: nn.Module, like: Tensor, dtype: torch.dtype | None, timer: Timer) -> bool:
    plain = nn.Sequential(copy.deepcopy(conv))  # a child, so that it has a name to go by
    other = copy.deepcopy(plain)
    compute_otherwise(other, ["0"])
    x = torch.randn(like.shape).to(like.dtype).contiguous(memory_format=torch.channels_last)
    x.requires_grad_(like.requires_grad)
    runs = [_forward_and_backward(way, x, dtype) for way in (plain, other)]
    for run in runs:
        run()
    least = [float("inf")] * 2
    for number in range(1, _CONVOLUTION_LAPS + 1):
        for place, (way, run) in enumerate(zip((plain, other), runs, strict=True)):
            least[place] = min(least[place], timer(way, dtype, run))
        if number >= 2 and not 1 / _CLEAR < least[1] / least[0] < _CLEAR:
            break
    return least[1] < _GAIN * least[0]


def _forward_and_backward(conv: nn.Module, x: Tensor, dtype: torch.dtype | None) -> Callable[[], None]:
    """Return a call that does what a step does of ``conv``: where it is frozen, that is less."""
    with autocast(dtype, _CPU):
        gradient = torch.ones_like(conv(x))

    def run() -> None:
        x.grad = None
        conv.zero_grad()
        with autocast(dtype, _CPU):
            out = conv(x)
        if out.requires_grad:
            out.backward(gradient)

    return run
