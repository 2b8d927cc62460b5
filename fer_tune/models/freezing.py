"""What frozen means: no gradient, and a pass through it that is the same every time.

A frozen stage has no gradient, so no weight decay and no optimiser state; its batch-norm statistics stay; its dropout
and stochastic depth are off.  Since every frozen stage lies below every trained one, autograd records nothing below the
lowest trained stage: neither its activations are kept nor does the backward pass reach it
(`tests/benchmarks/freeze.py` measures what that saves).
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from torch import nn

from fer_tune.errors import UserError
from fer_tune.models.heads import head_parameters
from fer_tune.models.stages import stages

_frozen_by_us: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()


def freeze(model: nn.Module, depth: int) -> list[nn.Module]:
    """Freeze the first ``depth`` stages of ``model``.

    A later call with another depth holds instead: with a lower one, stages that an earlier call froze are trained
    again (gradual unfreezing).  Parameters that the network itself keeps fixed stay fixed.

    Returns:
        The modules of the frozen stages, which must stay in evaluation mode: call ``.eval()`` on them after every
        ``model.train()``.

    Raises:
        UserError: ``depth`` is beyond the number of stages.
    """
    found = stages(model)
    if not 0 <= depth <= len(found):
        raise UserError(f"freeze_depth: {depth} is beyond this backbone's {len(found)} stages; 0 to {len(found)} work")
    frozen = {name for stage in found[:depth] for name in stage.parameters}
    ours = _frozen_by_us.setdefault(model, set())
    for name, parameter in model.named_parameters():
        if name in frozen and parameter.requires_grad:
            parameter.requires_grad_(False)
            ours.add(name)
        elif name not in frozen and name in ours:
            parameter.requires_grad_(True)
            ours.discard(name)
    return _still(model, frozen) if frozen else []


def _still(model: nn.Module, frozen: set[str]) -> list[nn.Module]:
    """Return the largest modules that lie in frozen stages as a whole.

    A module without parameters (dropout, stochastic depth, a norm that only keeps statistics) lies where its parent
    does.  Where its parent is frozen in part, it belongs to what comes before it, but for what stands right below the
    classifier: the dropout there is the classifier's.
    """
    head = head_parameters(model)
    order = [name for name, _ in model.named_parameters()]
    place = {name: number for number, name in enumerate(order)}
    found: list[nn.Module] = []
    before = -1  # the last parameter, in the order of the network, that comes before a module

    def visit(path: str, module: nn.Module) -> None:
        nonlocal before
        own = [place[name] for name, _ in module.named_parameters(path) if name in place]
        if own:
            if frozen.issuperset(order[number] for number in own):
                found.append(module)
                before = max(before, *own)
                return
            for name, child in module.named_children():
                visit(f"{path}.{name}" if path else name, child)
            before = max(before, *own)
        elif before >= 0 and order[before] in frozen and order[min(before + 1, len(order) - 1)] not in head:
            found.append(module)

    visit("", model)
    return found
