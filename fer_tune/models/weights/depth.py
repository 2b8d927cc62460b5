"""Weights of a network of the same family that is deeper or shallower: they fit in part, by name and shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from fer_tune.models.weights.words import some


def other_depth(body: Sequence[str], missing: Iterable[str], unused: Iterable[str]) -> list[str]:
    """Return how a file's network differs in depth from this one, in a line; none where it does not.

    ResNet-34 holds every tensor of ResNet-18 in name and shape, and blocks between them that ResNet-18 has not.  To
    start from it may be meant (a chain of EfficientNets) or a mistake.  A file that ends early (the first stages of a
    backbone) is not of another depth, nor is one that has more at its end.

    Args:
        body: names of the network's tensors but its classifier's, in its order.
        missing: those of them that the file has not.
        unused: names in the file that the network has not.

    Examples:
        >>> body = ["stem.weight", "layer1.0.conv.weight", "layer2.0.conv.weight"]
        >>> other_depth(body, [], ["layer1.1.conv.weight", "layer1.1.conv.bias"])
        ['of a network of another depth: it has layer1.1, and this backbone has none']
        >>> other_depth(body, ["layer2.0.conv.weight"], ["head.0.weight"])
        []
    """
    absent, unused = set(missing), list(unused)
    found = [name for name in body if name not in absent]
    last = body.index(found[-1]) if found else -1
    ends = {row: place for place, name in enumerate(body) for row, _ in _numbered(name)}
    inner = {row for row, place in ends.items() if place < last}  # something is found behind them
    if beyond := _beyond(unused, body, inner):
        return [f"of a network of another depth: it has {some(beyond)}, and this backbone has none"]
    if beyond := _beyond((name for name in body if name in absent), [*found, *unused], inner):
        return [f"of a network of another depth: it has no {some(beyond)}, and this backbone has"]
    return []


def _beyond(names: Iterable[str], others: Iterable[str], rows: set[str]) -> list[str]:
    """Return the layers of ``names`` whose number in one of ``rows`` is higher than any of ``others`` has there."""
    highest: dict[str, int] = {}
    for name in others:
        for row, number in _numbered(name):
            highest[row] = max(number, highest.get(row, number))
    rows = rows & highest.keys()
    layers = (f"{row}{n}" for name in names for row, n in _numbered(name) if row in rows and n > highest[row])
    return list(dict.fromkeys(layers))


def _numbered(name: str) -> Iterator[tuple[str, int]]:
    """Yield each row of numbered layers that a tensor is in (``layer1.``, ``denseblock1.denselayer``), and its number.

    Layers without parts count in a row of the whole network alone (VGG's ``features.``): those within a block, such as
    its shortcut, are a matter of how the block is made.
    """
    parts = name.split(".")
    for depth, part in enumerate(parts[:-1]):
        if (found := re.fullmatch(r"(.*?)(\d+)", part)) and (depth < len(parts) - 2 or _whole(parts[:depth], found[1])):
            yield ".".join([*parts[:depth], found[1]]), int(found[2])


def _whole(above: list[str], word: str) -> bool:
    return bool(above) and not word and not any(part[-1:].isdecimal() for part in above)
