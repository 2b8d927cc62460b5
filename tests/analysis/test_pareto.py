"""The front: no trial on it is beaten in both objectives, and each that is left out is."""

from __future__ import annotations

import math
import random
from io import StringIO

from rich.console import Console

from analysis.figures.pareto import pareto
from analysis.trials.pareto import pareto_front, pareto_rows, pareto_table, second_objective, value_text
from fer_tune.run_folder import DatasetRef, SearchSettings


def row(name, accuracy, latency, status="completed", parameters=None, origin="searched"):
    return {
        "trial_id": name,
        "backbone": "cnn_simpler",
        "origin": origin,
        "config": {"learning_rate": 0.1},
        "status": status,
        "epochs": 3,
        "val_accuracy": accuracy,
        "latency_ms": latency,
        "parameters": parameters,
    }


def test_the_front_is_what_no_trial_beats():
    draw = random.Random(0)
    speeds = [draw.randint(1, 20) for _ in range(200)]
    rows = [row(str(index), (speed + draw.randint(0, 20)) / 40, speed) for index, speed in enumerate(speeds)]
    front = pareto_front(rows, "latency")

    def beats(one, other):
        at_least = one["val_accuracy"] >= other["val_accuracy"] and one["latency_ms"] <= other["latency_ms"]
        return at_least and (one["val_accuracy"], one["latency_ms"]) != (
            other["val_accuracy"],
            other["latency_ms"],
        )

    assert len(front) > 1
    assert not any(beats(one, other) for one in rows for other in front)
    values = {(each["val_accuracy"], each["latency_ms"]) for each in front}
    assert len(values) == len(front)
    for other in rows:
        on_it = (other["val_accuracy"], other["latency_ms"]) in values
        assert on_it or any(beats(one, other) for one in front)


def test_failed_and_unmeasured_trials_are_not_on_it_and_stopped_ones_are():
    rows = [
        row("failed", 0.9, 1.0, "failed"),
        row("unmeasured", 0.9, None),
        row("nan", math.nan, 0.5),
        row("stopped", 0.7, 2.0, "stopped"),
        row("slower", 0.6, 3.0),
    ]
    assert [each["trial_id"] for each in pareto_front(rows, "latency")] == ["stopped"]
    assert pareto_front([], "latency") == []


def test_the_table_shows_both_values():
    console = Console(width=120, file=StringIO())
    rows = [row("small", 0.5, 1.0, parameters=12_345), row("large", 0.6125, 2.0, parameters=9_876_543)]
    console.print(pareto_table(rows, "parameters"))
    console.print(pareto_table(rows, "latency"))
    shown = console.file.getvalue()
    assert "no trial is better in both accuracy and parameters" in shown
    assert "9,876,543" in shown
    assert "61.25 %" in shown
    assert "ms/image" in shown


def test_a_search_for_accuracy_alone_has_no_second_objective():
    ref = DatasetRef(path="d", name="tiny", content_hash="0", classes=["a", "b"])
    settings = SearchSettings(
        name="r", created="now", dataset=ref, backbones=["a"], trials=1, planned={"a": 1}, epochs=1
    )
    assert second_objective(settings) is None
    both = settings.model_copy(update={"objectives": ["val_accuracy", "latency"]})
    assert second_objective(both) == "latency"


def test_a_report_has_the_front_and_then_the_published_ones_that_are_beaten():
    rows = [
        row("slow", 0.8, 9.0),
        row("quick", 0.6, 1.0),
        row("beaten", 0.5, 2.0, origin="paper/a"),
        row("twin", 0.6, 1.0, origin="paper/b"),
        row("searched", 0.4, 3.0),
        row("broken", 0.9, 0.5, "failed", origin="paper/c"),
    ]
    table = pareto_rows(rows, "latency", {"paper/a", "paper/b", "paper/c"})
    assert [(each["trial_id"], each["front"], each["kind"]) for each in table] == [
        ("slow", "on it", "searched"),
        ("quick", "on it", "searched"),
        ("twin", "as good as quick", "published"),
        ("beaten", "beaten by quick", "published"),
    ]
    assert [each["judged"] for each in table] == ["80.0", "60.0", "60.0", "50.0"]
    assert value_text(1234.5, "seconds") == "1,234"
    assert value_text(0.01234, "latency") == "0.0123"


def test_the_figure_rings_the_front_and_stars_the_published():
    rows = [
        row("slow", 0.8, 90.0),
        row("quick", 0.6, 1.0, "stopped"),
        row("known", 0.5, 2.0, origin="paper/a"),
        row("warm", 0.5, 3.0, origin="earlier/run"),  # no paper's
        row("broken", 0.9, 0.5, "failed"),
    ]
    figure = pareto(rows, "latency", {"paper/a"})
    [axes] = figure.axes
    drawn = [(points.get_sizes()[0], points.get_offsets().tolist()) for points in axes.collections]
    assert {tuple(place) for size, own in drawn if size == 230 for place in own} == {(90.0, 80.0), (1.0, 60.0)}
    assert [place for size, own in drawn if size == 190 for place in own] == [[2.0, 50.0]]
    assert sum(len(own) for size, own in drawn if size == 34) == 3
    [line] = axes.lines
    assert line.get_xydata().tolist() == [[1.0, 60.0], [90.0, 80.0], [90.0, 80.0]]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "milliseconds to classify one image"
    keys = {text.get_text() for text in figure.legends[0].get_texts()}
    assert keys == {"cnn_simpler", "stopped early", "published", "the front"}
