"""Which classes of two datasets are the same, by name: ``happiness`` and ``Happy`` are, and names spelt alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_tune.data.labels import canonical


@dataclass(frozen=True)
class Matched:
    """Classes of the models' dataset and of another.

    Attributes:
        shared: those of both, by the models' names and in their order.
        only_trained: those that the other lacks.
        only_tested: those that the models do not know.
        trained: (C,) place in ``shared`` of each class of the models, -1 for those of ``only_trained``.
        tested: the same of each class of the other.
    """

    shared: list[str]
    only_trained: list[str]
    only_tested: list[str]
    trained: NDArray[np.int64]
    tested: NDArray[np.int64]

    def restricted(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """Return (S, N, C) probabilities of the models' classes as those among the shared ones, which sum to one."""
        found: NDArray[np.float64] = np.zeros((*probabilities.shape[:-1], len(self.shared)), dtype=np.float64)
        for place, index in enumerate(self.trained):
            if index >= 0:
                found[..., index] += probabilities[..., place]
        found /= np.maximum(found.sum(-1, keepdims=True), np.finfo(np.float64).tiny)
        return found


def match_classes(trained: list[str], tested: list[str]) -> Matched:
    """Match the classes of the models' dataset with those of another.

    >>> match_classes(["angry", "happy", "sad"], ["Happiness", "contempt", "anger"]).shared
    ['angry', 'happy']
    """
    own, other = [_meaning(name) for name in trained], [_meaning(name) for name in tested]
    both = [name for name in dict.fromkeys(own) if name in other]
    place = {name: number for number, name in enumerate(both)}
    return Matched(
        shared=[trained[own.index(name)] for name in both],
        only_trained=[name for name, known in zip(trained, own, strict=True) if known not in place],
        only_tested=[name for name, known in zip(tested, other, strict=True) if known not in place],
        trained=np.array([place.get(name, -1) for name in own]),
        tested=np.array([place.get(name, -1) for name in other]),
    )


def _meaning(name: str) -> str:
    return canonical(name) or name.strip().lower()
