"""The grid: every combination once, whatever conditions, publications and resumes do to it."""

from __future__ import annotations

import doctest
import pickle

import pytest

import fer_tune.search.proposing.grid as grid
from fer_tune.run_folder import Candidate, RunFolder
from fer_tune.search.proposing.grid import grid_points, grid_size, grid_trials, grid_values
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.search.spaces.parameter import Parameter

SPACE = from_resolved(
    {
        "backbone": "cnn_simpler",
        "search": {
            "momentum": {"uniform": [0.0, 0.9], "when": {"optimizer": "sgd"}},  # before what it depends on
            "optimizer": {"choice": ["adamw", "adam", "sgd"]},
            "learning_rate": {"log_uniform": [1e-4, 1e-1]},
        },
        "fixed": {"augmentation": 0.1},
    }
)
SIZE = 4 * (1 + 1 + 4)
ON_THE_GRID = Candidate(name="paper/on", config={"optimizer": "adam", "learning_rate": 1e-3})
OFF_THE_GRID = Candidate(name="paper/off", config={"optimizer": "adam", "learning_rate": 2e-3})
OUTSIDE = Candidate(name="paper/outside", config={"optimizer": "adam", "learning_rate": 5.0})


def searcher(folder, trials=100, first=(), seed=0) -> StudySearcher:
    name = SPACE.backbone
    return StudySearcher({name: SPACE}, {name: list(first)}, trials, 5, seed, RunFolder(folder), "grid")


def suggested(search: StudySearcher, start: int = 0) -> list[dict]:
    found = []
    while isinstance(settings := search.suggest(f"t{start + len(found)}"), dict):
        found.append({key: settings[key] for key in ("optimizer", "learning_rate", "momentum") if key in settings})
    return found


def test_the_examples_of_the_documentation_run():
    assert doctest.testmod(grid) == (0, 2)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("choice", (32, 64, 128), [32, 64, 128]),
        ("uniform", (0.0, 0.3), [0.0, 0.1, 0.2, 0.3]),
        ("integer", (0, 9), [0, 3, 6, 9]),
        ("integer", (3, 3), [3]),
        ("uniform", (0.5, 0.5), [0.5]),
    ],
)
def test_values_of_a_setting(kind, values, expected):
    parameter = Parameter(name="x", kind=kind, values=values)
    assert grid_values(parameter) == expected
    assert all(parameter.contains(value) for value in grid_values(parameter))


def test_a_setting_that_does_not_apply_makes_no_second_point():
    points = list(grid_points(SPACE))
    assert len(points) == SIZE == grid_size(SPACE)
    assert all(points.count(point) == 1 for point in points)
    assert all(("momentum" in point) == (point["optimizer"] == "sgd") for point in points)


def test_the_size_of_a_grid_too_large_to_make_is_counted():
    rates = {name: {"uniform": [0.1, 0.9]} for name in ("augmentation", "drop_rate", "label_smoothing", "layer_decay")}
    wide = {"learning_rate": {"log_uniform": [1e-5, 1]}, "weight_decay": {"log_uniform": [1e-5, 1]}, **rates}
    more = {name: {"uniform": [0.1, 0.9]} for name in ("mixup", "cutmix", "drop_path_rate", "momentum", "sam_rho")}
    space = from_resolved({"backbone": "cnn_simpler", "search": {**wide, **more}})
    assert grid_size(space) == 4**11


def test_every_point_is_tried_once_and_then_no_more(tmp_path):
    found = suggested(searcher(tmp_path))
    assert len(found) == SIZE
    assert all(point in found for point in grid_points(SPACE))
    other = suggested(searcher(tmp_path / "b", seed=3)) if (tmp_path / "b").mkdir() is None else []
    assert other != found  # the order is the seed's
    assert sorted(map(str, other)) == sorted(map(str, found))


def test_fewer_trials_than_points_are_spread_over_the_grid(tmp_path):
    found = suggested(searcher(tmp_path, trials=12))
    assert len(found) == 12
    assert len({point["learning_rate"] for point in found}) == 4
    assert len({point["optimizer"] for point in found}) == 3


def test_what_is_published_is_not_tried_twice(tmp_path):
    first = [ON_THE_GRID, OFF_THE_GRID, OUTSIDE]
    assert grid_trials(SPACE, first, 100) == SIZE + 2
    assert grid_trials(SPACE, first, 7) == 7
    found = suggested(searcher(tmp_path, first=first))
    assert len(found) == SIZE + 2
    assert found[0] == {"optimizer": "adam", "learning_rate": 1e-3}
    assert all(found.count(point) == 1 for point in grid_points(SPACE))


def test_a_resume_goes_on_where_the_grid_was_left(tmp_path):
    search = searcher(tmp_path)
    before = [search.suggest(f"t{index}") for index in range(5)]
    search.on_trial_complete("t0", error=True)  # it failed: it would again
    search.save(str(tmp_path / "snapshot"))
    unpickled = pickle.dumps(search)
    lost = search.suggest("lost")  # after the snapshot: Tune knows nothing of it
    resumed = pickle.loads(unpickled)
    resumed.restore(str(tmp_path / "snapshot"))
    after = suggested(resumed, start=5)
    assert len(after) == SIZE - 5
    keys = ("optimizer", "learning_rate", "momentum")
    first = [{key: settings[key] for key in keys if key in settings} for settings in before]
    assert all((first + after).count(point) == 1 for point in grid_points(SPACE))
    assert {key: lost[key] for key in keys if key in lost} in after
