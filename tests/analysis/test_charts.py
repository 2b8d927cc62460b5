"""Interactive figures: what they hold, what is left out, and how large they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_run import CLASSES, FakeRun, guesses

from analysis import load_run
from analysis.charts import settings, tested, trials
from analysis.charts.look import MOST_LINES, looks
from analysis.results import GroupScore
from analysis.statistics.calibration.reliability import Reliability
from analysis.statistics.roc import roc_curves
from analysis.trials.axes import Point, SearchAxis, drawn_whole, finished, points, search_axes

HOSTILE = "</script><b>x"


def data(chart: Any) -> list[dict[str, Any]]:
    return list(json.loads(chart.json)["data"])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A search of 1,000 trials of up to 45 epochs."""
    fake = FakeRun(tmp_path_factory.mktemp("large") / "run", backbones=("cnn_residual",), trials=1000, epochs=45)
    fake.write()
    return load_run(fake.path)


def test_a_large_search_stays_a_small_page(large) -> None:
    names = large.published_names
    own, axes = points(large, "cnn_residual"), search_axes(large, "cnn_residual")
    whole = drawn_whole(own, axes)
    charts = [
        trials.history(large.rows, names),
        trials.curves(large.rows, large.epochs),
        trials.budget(large.rows, names),
        settings.slices(own, axes),
        settings.parallel(whole, axes),
        settings.contour(finished(own, axes[0], axes[1]), axes[0], axes[1]),
    ]
    assert sum(len(chart.json) for chart in charts) < 2e6  # beside 4.8 MB of plotly.js, of 8 in all
    assert len(data(charts[4])) == MOST_LINES + 1  # and the scale


def test_curves_say_which_trial_they_are_of(large) -> None:
    lines, *_ = data(trials.curves(large.rows, large.epochs))
    assert lines["x"].count(None) == MOST_LINES
    best = large.ranked[0]
    own = [y for y, text in zip(lines["y"], lines["text"], strict=True) if text.startswith(best["trial_id"]) and y]
    assert max(own) == pytest.approx(100 * best["val_accuracy"], abs=0.01)


def test_a_contour_is_of_trials_that_ran_to_their_end(large) -> None:
    own, axes = points(large, "cnn_residual"), search_axes(large, "cnn_residual")
    surface = finished(own, axes[0], axes[1])
    assert {point.status for point in own} == {"completed", "stopped"}
    assert {point.status for point in surface} == {"completed"}
    drawn = [trace for trace in data(settings.contour(surface, axes[0], axes[1])) if trace["type"] == "scatter"]
    assert sum(len(trace["x"]) for trace in drawn) <= 150


def test_slices_mark_each_trial_as_what_it_is_at_its_own_values() -> None:
    """Optuna sorts the trials of a choice by value: marks and names would be other trials'."""
    axes = [SearchAxis("learning_rate", 0.001, 0.1, log=True), SearchAxis("batch_size", 0, 1, choices=(32, 64))]
    own = [
        Point("a", True, "completed", 0.9, 0.9, 6, {"learning_rate": 0.0001, "batch_size": 64}),  # outside the range
        Point("b", False, "stopped", 0.8, 0.8, 2, {"learning_rate": 0.01, "batch_size": 32}),
        Point("c", False, "completed", 0.7, 0.7, 6, {"learning_rate": 0.02, "batch_size": 64}),
        Point("d", False, "completed", 0.6, 0.6, 6, {"learning_rate": 0.03, "batch_size": 32}),
    ]
    of_choice, of_number = data(settings.slices(own, axes))
    keys = ("x", "y", "text", "marker")
    for trace, wanted in (
        (
            of_choice,
            {
                "b": ("32", 80, "circle-open"),
                "d": ("32", 60, "circle"),
                "a": ("64", 90, "star"),
                "c": ("64", 70, "circle"),
            },
        ),
        (of_number, {"b": (0.01, 80, "circle-open"), "c": (0.02, 70, "circle"), "d": (0.03, 60, "circle")}),
    ):
        xs, ys, texts, marker = (trace[key] for key in keys)
        names = [text.partition(", ")[0] for text in texts]
        found = dict(zip(names, zip(xs, ys, marker["symbol"], strict=True), strict=True))
        assert found == {name: (x, pytest.approx(y), mark) for name, (x, y, mark) in wanted.items()}


def test_shares_of_a_confusion_are_those_of_the_figure_on_paper() -> None:
    [drawn] = data(tested.confusion(np.array([[433, 35], [1, 1]]), ["a", "b"], seeds=1))
    assert drawn["z"][0] == [pytest.approx(92.521, abs=1e-3), pytest.approx(7.479, abs=1e-3)]  # 7, and not 7.5, so 8


def test_learning_curves_have_the_mean_of_the_seeds() -> None:
    epochs = pd.DataFrame(
        {
            "trial_id": ["c/seed_1", "c/seed_1", "c/seed_2", "c/seed_2"],
            "epoch": [1, 2, 1, 2],
            **{f"{split}_loss": [2.0, 1.0, 4.0, 3.0] for split in ("train", "val")},
            **{f"{split}_accuracy": [0.2, 0.3, 0.4, 0.5] for split in ("train", "val")},
        }
    )
    drawn = data(trials.learning(epochs))
    means = [trace for trace in drawn if trace["hovertemplate"].startswith("mean")]
    assert [trace["y"] for trace in means] == [[3, 2], [3, 2], [30, 40], [30, 40]]
    assert {trace["line"]["width"] for trace in means} == {2.6}
    assert [trace["name"] for trace in drawn if trace["showlegend"]] == ["train (augmented images)", "validation"]


def test_backbones_are_told_apart_without_colours(made) -> None:
    """In grey, or by who sees no colours: of one kind of trials no two backbones look alike."""
    rows, names = made.run.rows, made.run.published_names
    for drawn in (trials.history(rows, names), trials.curves(rows, made.run.epochs), trials.budget(rows, names)):
        found = data(drawn)
        dashes = {each["name"].partition(":")[0]: each["line"]["dash"] for each in found if "lines" in each["mode"]}
        assert sorted(dashes.values()) == ["dash", "solid"]
        shapes = {
            each["name"]: each["marker"]["symbol"]
            for each in found
            if "markers" in each["mode"] and not each["name"].startswith("failed")
        }
        assert len(shapes) >= 2
        assert len(set(shapes.values())) == len(shapes)  # a kind of trials of a backbone has its own


def test_thirty_backbones_look_differently() -> None:
    found = looks([str(number) for number in range(30)])
    assert len({(look.colour, look.dash) for look in found.values()}) == 30
    assert len({(look.colour, look.mark("stopped")["symbol"]) for look in found.values()}) == 30


def test_reliability_before_and_after_scaling_is_told_apart_without_colours() -> None:
    ones = np.ones(3) / 2
    both = [
        Reliability(label, ones, ones, ones, ones, np.full(3, 4), np.ones(10) / 10) for label in ("before", "after")
    ]
    lines = [each for each in data(tested.reliability(both)) if each.get("mode") == "lines+markers"]
    looked = [(each["line"]["dash"], each["marker"]["symbol"]) for each in lines]
    assert looked == [("solid", "circle"), ("dash", "square")]
    bars = [each["marker"]["pattern"]["shape"] for each in data(tested.reliability(both)) if each["type"] == "bar"]
    assert bars == ["", "/"]


def test_slices_mark_what_was_stopped(made) -> None:
    own, axes = points(made.run, "cnn_residual"), search_axes(made.run, "cnn_residual")
    for trace in data(settings.slices(own, axes)):
        marks = list(zip(trace["text"], trace["marker"]["symbol"], strict=True))
        assert {mark for text, mark in marks if text.endswith(", stopped")} == {"circle-open"}
        assert {mark for text, mark in marks if text.endswith(", completed")} == {"circle", "star"}


def test_parallel_lines_tell_the_whole_trial_and_never_none(large) -> None:
    own, axes = points(large, "cnn_residual"), search_axes(large, "cnn_residual")
    *lines, _ = data(settings.parallel(drawn_whole(own, axes), axes))
    for line in lines:
        assert all(f"{name}: " in line["hovertemplate"] for name in [*(axis.name for axis in axes), "epochs trained"])
    assert "None" not in settings.parallel(drawn_whole(own, axes), axes).json


def test_nine_hundred_groups_stand_in_one_chart() -> None:
    many = [GroupScore(group=f"person {n}", images=9, accuracy=n / 900, low=0.0, high=1.0) for n in range(900)]
    chart = tested.groups(many)
    assert chart.height < 600
    [points_] = data(chart)
    assert len(points_["text"]) == 900


def test_the_area_of_a_curve_is_that_of_the_table() -> None:
    from sklearn.metrics import roc_auc_score

    labels = np.random.default_rng(0).integers(0, 7, 400)
    seeds = np.stack([guesses(labels, 0.6, 7, seed) for seed in (1, 2, 3)])
    for curve in roc_curves(labels, seeds, CLASSES):
        own = labels == CLASSES.index(curve.name)
        mean = np.mean([roc_auc_score(own, each[:, CLASSES.index(curve.name)]) for each in seeds])
        assert curve.area == pytest.approx(mean)
        assert np.trapezoid(curve.found, curve.wrong) == pytest.approx(mean, abs=0.005)  # what is drawn encloses it
    legend = [trace["name"] for trace in data(tested.roc(roc_curves(labels, seeds, CLASSES))) if "name" in trace]
    assert legend[0].endswith(" %")


def test_no_name_is_taken_for_markup() -> None:
    groups = [GroupScore(group=HOSTILE, images=9, accuracy=0.5, low=0.0, high=1.0)]
    confusion = tested.confusion(np.eye(2, dtype=int), [HOSTILE, "b"], seeds=1)
    for chart in (tested.groups(groups), confusion):
        assert "<b>x" not in chart.json
        assert "&lt;b&gt;x" in chart.json


def test_who_points_at_a_trial_reads_no_folder_of_this_machine(made) -> None:
    rows = made.run.rows
    failed = next(row for row in rows if row["status"] == "failed")
    failed["error"] = f"OSError: {made.path}/tune/weights.pt: no space left"
    rows[0]["config"]["weights"] = str(made.path / "best.safetensors")
    text = json.dumps(data(trials.history(rows, set())))  # read: plotly writes a slash as its number
    assert str(made.path.parent) not in text
    assert "tune/weights.pt: no space left" in text
    assert "weights run/best.safetensors" in text


def test_learning_curves_name_their_seed(made, tmp_path: Path) -> None:
    made.refit([[0.6, 0.62]])
    [refit] = made.run.refits
    frame = pd.concat([made.run.refit_epochs(refit.config.config_id, result.seed) for result in refit.completed])
    told = [trace["hovertemplate"] for trace in data(trials.learning(frame))]
    for result in refit.completed:
        assert sum(f"seed {result.seed}, " in words for words in told) == 4  # loss and accuracy, train and validation


def test_the_timeline_is_that_of_the_journal(made) -> None:
    assert settings.timeline(made.run.rows, made.path / "study.journal") is None
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    study = optuna.create_study(storage=JournalStorage(JournalFileBackend(str(made.path / "study.journal"))))
    for row in made.run.rows[:4]:
        trial = study.ask()
        trial.set_user_attr("trial_id", row["trial_id"])
        study.tell(trial, 0.5)
    bars = data(settings.timeline(made.run.rows, made.path / "study.journal"))
    assert sum(len(trace["y"]) for trace in bars) == 4
    hatched = {"all epochs": "", "stopped early": "/", "failed or too large": "x"}  # for who sees no colours
    assert {trace["name"]: trace["marker"]["pattern"]["shape"] for trace in bars}.items() <= hatched.items()
