"""Which seed of a configuration is the one to take along."""

from __future__ import annotations

import math

import pytest

from analysis.use.predicting import Network


@pytest.mark.parametrize(
    ("validation", "place"),
    [
        ([0.5, 0.7, 0.6], 1),
        ([0.7, 0.7], 0),
        ([-math.inf, -math.inf], 0),  # trained on train and val together: none is known to be better
        ([-math.inf, 0.0], 1),
        ([-0.9, -0.4], 1),  # a loss, turned round
    ],
)
def test_the_best_seed_is_that_of_the_best_validation_accuracy(made, validation: list[float], place: int) -> None:
    models = Network(
        "ensemble", ["a"] * len(validation), made.card, "train", [], [], list(range(len(validation))), validation
    )
    assert models.best_seed() == place
