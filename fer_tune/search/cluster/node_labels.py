"""Which nodes of a cluster trials may run on, by the labels that Ray knows the nodes by.

Ray labels a node with the type of its GPU (``ray.io/accelerator-type``) by itself, and with what else it is told
(``ray start --labels kind=fast``; ``labels`` of a node type in a cluster file).  What a label must be is written as
in Ray's selectors: ``A100``, ``in(A100,H100)``, ``!T4`` or ``!in(T4,L4)``
(https://docs.ray.io/en/latest/ray-core/scheduling/labels.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fer_tune.errors import UserError

ACCELERATOR = "ray.io/accelerator-type"
"""Ray's own label of a node with GPUs."""

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:{_WORD}/)?{_WORD}")
_SELECTOR = re.compile(rf"!?(?:in\(({_WORD}(?:, ?{_WORD})*)\)|({_WORD}))")


def parse_labels(given: Iterable[str]) -> dict[str, str]:
    """Return label -> what it must be, from ``KEY=VALUE`` each.

    >>> parse_labels(["ray.io/accelerator-type=in(A100,H100)", "market=!spot"])
    {'ray.io/accelerator-type': 'in(A100,H100)', 'market': '!spot'}

    Raises:
        UserError: one is not of this form, or a label is named twice.
    """
    labels: dict[str, str] = {}
    for text in given:
        key, _, value = text.partition("=")
        if not _KEY.fullmatch(key) or not _SELECTOR.fullmatch(value):
            raise UserError(
                f"--node-label {text}: KEY=VALUE, such as ray.io/accelerator-type=A100, with a VALUE of A100, "
                "in(A100,H100), !T4 or !in(T4,L4)"
            )
        if key in labels:
            raise UserError(f"--node-label {text}: {key} is named twice; {key}=in(A,B) allows several values")
        labels[key] = value
    return labels


def matches(node: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether a node with the labels ``node`` is one that ``labels`` ask for.

    >>> matches({"kind": "fast"}, {"kind": "in(fast,big)"}), matches({}, {"kind": "!slow"}), matches({}, {"kind": "a"})
    (True, True, False)
    """
    return all(_allows(value, node.get(key)) for key, value in labels.items())


def told(labels: Mapping[str, str]) -> str:
    """Return them in words, as they were given; an empty string without any.

    >>> told({"kind": "fast", "market": "!spot"})
    'kind=fast, market=!spot'
    """
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def _allows(selector: str, value: str | None) -> bool:
    found = _SELECTOR.fullmatch(selector)
    assert found is not None, selector
    wanted = re.split(", ?", found[1]) if found[1] else [found[2]]
    return (value in wanted) != selector.startswith("!")
