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
        ([math.nan, math.nan], 0),  # trained on train and val together: none is known to be better
        ([math.nan, 0.0], 1),
    ],
)
def test_the_best_seed_is_that_of_the_best_validation_accuracy(made, validation: list[float], place: int) -> None:
    models = Network("a", made.card, "train", [], [], list(range(len(validation))), validation)
    assert models.best_seed() == place
