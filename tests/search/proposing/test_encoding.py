"""Settings lie in a cube: back and forth, in the order of their numbers, in the middle where they do not apply."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_tune.search.proposing.encoding import Encoding
from fer_tune.search.spaces.loading import from_resolved

SPACE = from_resolved(
    {
        "backbone": "cnn_simpler",
        "search": {
            "learning_rate": {"log_uniform": [1e-4, 1e-2]},
            "drop_rate": {"uniform": [0.0, 0.5]},
            "batch_size": {"choice": [128, 32, 64]},
            "schedule": {"choice": ["one_cycle", "cosine", "constant"]},
            "optimizer": {"choice": ["adamw", "sgd"]},
            "momentum": {"uniform": [0.5, 0.9], "when": {"optimizer": "sgd"}},
            "freeze_depth": {"integer": [0, 3]},
        },
    }
)
ENCODING = Encoding(SPACE)
LOW = {
    "learning_rate": 1e-4,
    "drop_rate": 0.0,
    "batch_size": 32,
    "schedule": "one_cycle",
    "optimizer": "sgd",
    "momentum": 0.5,
    "freeze_depth": 0,
}

CHOICES = ("batch_size", "schedule", "optimizer", "freeze_depth")
RANGES = [name for name in LOW if name not in CHOICES]


def point(**changes) -> list[float]:
    return ENCODING.points([{**LOW, **changes}])[0].tolist()


def test_three_choices_have_three_axes():
    assert len(point()) == len(LOW) + 2
    assert ENCODING.points([]).shape == (0, len(LOW) + 2)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=len(LOW), max_size=len(LOW)))
def test_any_units_are_settings_of_the_space_and_lie_where_they_came_from(units):
    settings = ENCODING.settings(np.array(units))
    assert settings.keys() == LOW.keys()
    assert all(SPACE.parameters[name].contains(value) for name, value in settings.items())
    back = ENCODING.units(settings)
    again = ENCODING.settings(back.clip(0, 1 - 1e-9))
    assert {name: again[name] for name in CHOICES} == {name: settings[name] for name in CHOICES}
    assert [again[name] for name in RANGES] == pytest.approx([settings[name] for name in RANGES], rel=1e-6)
    assert np.abs(back - units).max() <= 0.25 + 1e-9  # half of one of two choices
    assert ENCODING.points_of(np.array([units])) == pytest.approx(ENCODING.points([settings]))


def test_numbers_lie_in_their_order_by_their_logarithm_where_they_are_drawn_by_it():
    axis = [point(learning_rate=rate)[0] for rate in (1e-4, 1e-3, 1e-2)]
    assert axis == pytest.approx([0, 0.5, 1])
    assert [point(batch_size=size)[2] for size in (32, 64, 128)] == [0, 0.5, 1]


def test_other_choices_are_all_as_far_from_each_other():
    places = np.array([point(schedule=each) for each in ("one_cycle", "cosine", "constant")])
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    assert apart[np.triu_indices(3, 1)] == pytest.approx(1)


def test_what_does_not_apply_or_is_missing_lies_in_the_middle():
    assert point(optimizer="adamw", momentum=0.9) == point(optimizer="adamw", momentum=0.5)
    assert point(momentum=0.9) != point(momentum=0.5)
    missing = {name: value for name, value in LOW.items() if name != "drop_rate"}
    assert ENCODING.points([missing])[0][1] == 0.5
    assert ENCODING.units(missing)[1] == 0.5
