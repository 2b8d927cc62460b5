"""How one network is computed on one machine: which numbers, and which way each convolution goes.

What is quicker differs between processors, so on a CPU it is measured, once for each network and machine, and kept
(see `measuring` and `kept_measurements` beside this; planning by measurement is FFTW's, Frigo and Johnson 2005).  A
run that is too short for that takes float32 and PyTorch's convolutions.  So what a run takes depends on its network,
the size of its data and its epochs alone; the same holds for a refit and for ``--dry-run``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.training.computing import kept_measurements
from fer_tune.training.computing.convolutions import compute_otherwise, is_grouped, other_ways
from fer_tune.training.computing.kept_measurements import Measured
from fer_tune.training.computing.measuring import TYPES, Candidate, Workload
from fer_tune.training.learning.optimisers import frozen_stages
from fer_tune.training.processor import multiplies_bf16, processor
from fer_tune.training.steps.precision import gpu_dtype

WORTH_MEASURING = 400  # steps of a run: ten times what measuring takes
_TIE = 1.03  # nearer than laps of the same step are to each other; then the plainer way is taken
_LARGEST = 64  # images a step: a larger batch is computed alike, and measuring should need neither its time nor memory

_TYPES = {**TYPES, "fp16": torch.float16}  # the last on a GPU alone
_SAID = {None: "float32", torch.bfloat16: "bf16", torch.float16: "float16, the loss scaled"}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}


@dataclass(frozen=True)
class Plan:
    """How a network is computed.

    Attributes:
        precision: ``fp32``, ``bf16`` or ``fp16``.
        otherwise: names of the convolutions that go the other way, see `fer_tune.training.computing.convolutions`.
        told: the same in words, with the reason.
        machine: what stands for the kind of machine that it holds for.
    """

    precision: str
    otherwise: tuple[str, ...]
    told: str
    machine: str

    @property
    def dtype(self) -> torch.dtype | None:
        """For autocast; None is float32 throughout."""
        return _TYPES[self.precision]

    def apply(self, model: nn.Module) -> None:
        """Let the convolutions of ``model``, in place, go the way that is planned."""
        compute_otherwise(model, self.otherwise)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {**asdict(self), "otherwise": list(self.otherwise)}


def plan_for(
    config: TrialConfig,
    model: nn.Module,
    card: DatasetCard,
    device: torch.device,
    steps: int,
    world: int,
    earlier: dict[str, Any] | None = None,
) -> Plan:
    """Return how a run computes ``model``, which stays as it is; all ranks get that of rank 0.

    Args:
        config: of the run.
        model: as it was built, without any plan.
        card: of the data.
        device: where it is trained.
        steps: in an epoch.
        world: ranks that share a batch.
        earlier: the `Plan.state` of the checkpoint that the run goes on from; it is held to on the same machine.
    """

    def chosen() -> Plan:
        machine = _machine(device)
        if earlier is not None and earlier["machine"] == machine:
            return Plan(**{**earlier, "otherwise": tuple(earlier["otherwise"])})
        if device.type != "cpu":
            dtype = gpu_dtype(config.precision, device)
            return Plan(_NAMES[dtype], (), f"{_SAID[dtype]}: {_gpu(config, device)}", machine)
        return _on_a_cpu(config, model, card, steps * config.epochs, world, machine)

    return _of_rank_0(chosen, device)


def _on_a_cpu(config: TrialConfig, model: nn.Module, card: DatasetCard, steps: int, world: int, machine: str) -> Plan:
    asked = config.precision
    plain = "bf16" if asked == "bf16" else "fp32"
    if asked == "fp16":  # as a search on a GPU may have been told, whose trials are trained again here
        return Plan(plain, (), "float32: float16 is for GPUs", machine)
    if asked == "bf16" and not multiplies_bf16(processor()):  # measuring would take minutes, see `measuring`
        return Plan(
            plain, (), "bf16: as asked; this processor has no instructions for it, and float32 is far quicker", machine
        )
    if asked != "auto" and not other_ways(model):
        return Plan(plain, (), f"{_SAID[TYPES[plain]]}: as asked", machine)
    if steps < WORTH_MEASURING:
        why = f"{steps} steps are too few to measure what is quicker"
        return Plan(plain, (), f"{_SAID[TYPES[plain]]}: {why}", machine)
    measured = kept_measurements.measured(model, workload(config, card, world), steps)
    best = quickest(measured.candidates, asked)
    return Plan(best.precision, best.otherwise, _told(best, measured, model), machine)


def workload(config: TrialConfig, card: DatasetCard, world: int) -> Workload:
    """Return what is measured for a run: its network and images, a power of two of them, frozen as in most epochs."""
    depths = Counter(frozen_stages(config, epoch) for epoch in range(1, config.epochs + 1))
    images = max(1, round(config.batch_size / world))
    batch = 2 ** round(torch.tensor(float(images)).log2().item())
    height, width = (config.image_size or side for side in (card.height, card.width))
    own = (config.backbone, config.head, depths.most_common(1)[0][0], min(batch, _LARGEST))
    return Workload(*own, card.channels, height, width, len(card.classes))


def quickest(candidates: list[Candidate], precision: str) -> Candidate:
    """Return the quickest way, among those that ``precision`` allows; of equal ones the first, which is plainer."""
    allowed = [one for one in candidates if precision in ("auto", one.precision)] or candidates[:1]
    least = min(one.seconds for one in allowed)
    return next(one for one in allowed if one.seconds <= _TIE * least)


def _told(best: Candidate, measured: Measured, model: nn.Module) -> str:
    """Return such as ``bf16, 7 of 20 convolutions as columns; measured on AMD EPYC: 1.92 times float32``."""
    ways = other_ways(model)
    grouped = sum(is_grouped(ways[name]) for name in best.otherwise)
    total = sum(isinstance(module, nn.Conv2d) for module in model.modules())
    parts = [_SAID[TYPES[best.precision]]]
    if dense := len(best.otherwise) - grouped:
        parts.append(f"{dense} of {total} convolutions as columns")
    if grouped:
        parts.append(f"{grouped} of {total} {'in float32' if best.precision == 'bf16' else 'multiplied by channel'}")
    plain = measured.candidates[0]
    rate = "" if best == plain else f": {plain.seconds / best.seconds:.2f} times plain float32"
    return f"{', '.join(parts)}; measured on {measured.processor}{rate or ', where nothing is quicker'}"


def _machine(device: torch.device) -> str:
    if device.type == "cpu":
        return kept_measurements.machine()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _gpu(config: TrialConfig, device: torch.device) -> str:
    if config.precision == "fp16" and device.type != "cuda":
        return "float16 is for CUDA"
    if config.precision != "auto":
        return "as asked"
    if device.type != "cuda":
        return f"no other is tried on {device.type}"
    major, minor = torch.cuda.get_device_capability(device)
    return f"compute capability {major}.{minor}"


def _of_rank_0(chosen: Callable[[], Plan], device: torch.device) -> Plan:
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return chosen()
    shared: list[Any] = [chosen() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(shared, src=0, device=device if device.type == "cuda" else None)
    plan: Plan = shared[0]
    return plan
