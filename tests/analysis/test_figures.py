"""Figures: nothing clipped, nothing overlapping that must be read, every state marked."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from fake_run import CLASSES, guesses
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.figures import bars, beyond, curves, heldout, pareto, profiles, searched
from analysis.figures.style import PALETTE
from analysis.heldout.corruptions import summary
from analysis.results import Corruptions, GroupScore
from analysis.statistics.calibration.reliability import reliability_curves
from analysis.statistics.comparing.aggregates import aggregate
from analysis.statistics.roc import roc_curves
from analysis.statistics.scores import score
from analysis.statistics.uncertainty.sampling import Images
from analysis.trials.axes import finished, points, search_axes
from analysis.trials.importance import Importance, Importances

LONG = "qutub-atay-2023/efficientnet-b0-with-a-long-name"


@pytest.fixture(scope="module")
def drawn(tested) -> dict[str, Figure]:
    run, plan = tested[0].run, tested[0].run.refit_plan
    labels = np.random.default_rng(0).integers(0, 7, 300)
    scores = score(labels, np.stack([guesses(labels, 0.6, 7, s) for s in (1, 2)]), CLASSES, [1, 2], resamples=50)
    epochs = pd.concat([run.refit_epochs(plan.configs[0].config_id, seed) for seed in plan.seeds])
    rows = [
        bars.Bar(f"{LONG}\nas its paper reports", 0.60854, kind="reported"),
        bars.Bar("a", 0.61, points=(0.6, 0.62)),
    ]
    joint = np.stack([guesses(labels, 0.6, 7, s) for s in (1, 2)])
    trials, axes = points(run, "cnn_residual"), search_axes(run, "cnn_residual")
    found = [Importance(axis.name, 0.5, 0.2, 0.8, 0.01, shown=True) for axis in axes]
    sized = [row | {"parameters": 40_000 * 3**number} for number, row in enumerate(run.rows)]
    groups = [GroupScore(group=LONG, images=1200, accuracy=0.5, low=0.4, high=0.6)] * 2
    scored = {LONG: np.array([[0.6, 0.61, 0.63]]), "b": np.array([[0.7, 0.7, 0.69]])}
    right = np.random.default_rng(0).random((3, 60, 6, 5)) < 0.6
    corrupted = Corruptions.model_construct(**summary(right[..., 0, 0], right, Images(60, 50), 48))
    many = [GroupScore(group=f"person {n}", images=9, accuracy=n / 900, low=n / 1000, high=1.0) for n in range(900)]
    return {
        "importance": searched.importance(Importances("cnn_residual", 20, 12, True, "validation accuracy", found)),
        "slices": searched.slices(trials, axes),
        "contour": searched.contour(finished(trials, *axes[:2]), *axes[:2]),
        "parallel": searched.parallel(trials, axes),
        "budget": searched.budget(run.trials, run.published_names),
        "pareto": pareto.pareto(sized, "parameters", run.published_names),
        "roc": heldout.roc(roc_curves(labels, joint, CLASSES)),
        "reliability": heldout.reliability(reliability_curves(labels, joint, [1.5, 0.7])),
        "differences": heldout.differences(run.comparison.pairs),
        "groups": heldout.groups(groups),
        "many_groups": heldout.groups(many),
        "corruptions": beyond.corruptions(corrupted),
        "profiles": profiles.profiles(aggregate(scored)),
        "history": curves.search_history(run.trials, run.published_names),
        "curves": curves.trial_curves(run.epochs, run.trials),
        "learning": curves.learning_curves(epochs, plan.configs[0].config_id),
        "confusion": heldout.confusion(np.sum(scores.confusion, axis=0), CLASSES),
        "per_class": heldout.per_class(scores.per_class),
        "bars": bars.bars(rows, "Published configurations and the searched one", "accuracy (%)"),
    }


def visible_texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def test_nothing_is_clipped_and_no_text_is_too_small(drawn) -> None:
    for name, figure in drawn.items():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        ink = figure.get_tightbbox(canvas.get_renderer())  # inches
        width, height = figure.get_size_inches()
        assert ink.x0 >= -0.01, name
        assert ink.y0 >= -0.01, name
        assert ink.x1 <= width + 0.01, name
        assert ink.y1 <= height + 0.01, name
        assert min(text.get_fontsize() for text in visible_texts(figure)) >= 8, name


def test_every_axis_has_a_label_with_its_unit(drawn) -> None:
    for name, figure in drawn.items():
        labels = " ".join(text.get_text() for text in visible_texts(figure))
        assert "%" in labels or "points" in labels, name
        for axes in figure.axes:
            named = axes.get_xlabel() or axes.get_ylabel() or name == "parallel"  # whose axes are named at their ticks
            assert named or not axes.axison, name


def test_history_marks_stopped_failed_and_published_trials(made) -> None:
    figure = curves.search_history(made.run.trials, made.run.published_names)
    [legend] = figure.legends
    keys = {text.get_text() for text in legend.get_texts()}
    assert {"all epochs", "stopped early", "published", "failed"} <= keys
    assert {"cnn_residual: best so far", "cnn_baseline: best so far"} <= keys
    drawn = sum(len(points.get_offsets()) for points in figure.axes[0].collections)
    assert drawn == len(made.run.trials)


def test_history_leaves_out_keys_of_what_did_not_happen(made) -> None:
    trials = made.run.trials
    some = trials[(trials["status"] == "completed") & (trials["origin"] == "searched")]
    figure = curves.search_history(some, made.run.published_names)
    keys = {text.get_text() for text in figure.legends[0].get_texts()}
    assert not keys & {"stopped early", "published", "failed"}


def test_the_confusion_matrix_shows_shares_of_the_true_class() -> None:
    figure = heldout.confusion(np.array([[3, 1], [0, 0]]), ["a", "b"])
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert cells == ["75", "25", "0", "0"]


def test_classes_are_ordered_by_f1() -> None:
    labels = np.repeat([0, 1, 2], 50)
    predicted = np.where((labels == 2) & (np.arange(150) % 2 == 0), 0, labels)
    scores = score(labels, np.eye(3)[predicted][None], ["x", "y", "z"], [1], resamples=20)
    figure = heldout.per_class(scores.per_class)
    names = [text.get_text().splitlines()[0] for text in figure.axes[0].get_yticklabels()]
    assert names == ["z", "x", "y"]  # from the bottom to the top


def test_lines_are_told_apart_in_grey(drawn) -> None:
    """Of two that have the same dashes one is clearly lighter; as printers and `convert -colorspace gray` see it."""
    for name, least in (("roc", 7), ("learning", 2)):
        lines = [line for axes in drawn[name].axes for line in axes.get_lines() if line.get_alpha() is None]
        looks = {(str(line.get_linestyle()), grey(line.get_color())) for line in lines if line.get_linewidth() > 1}
        assert len(looks) >= least, name
        for (dashes, first), (other, second) in itertools.combinations(looks, 2):
            assert dashes != other or abs(first - second) > 0.1, name


def grey(colour: str) -> float:
    red, green, blue = (int(to_hex(colour)[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601


def test_a_bin_of_the_reliability_diagram_has_an_interval_of_one_seeds_images() -> None:
    labels = np.random.default_rng(0).integers(0, 7, 300)
    one = guesses(labels, 0.6, 7, 1)
    alone, twice = (reliability_curves(labels, np.stack([one] * seeds), None)[0] for seeds in (1, 2))
    assert (alone.low <= alone.accuracy).all()
    assert (alone.accuracy <= alone.high).all()
    assert twice.low == pytest.approx(alone.low)  # the same answers twice are no new images
    assert twice.counts.sum() == 2 * alone.counts.sum()


@pytest.mark.parametrize("kind", ["deuteranopia", "protanopia"])
def test_colours_differ_for_colour_blind_readers(kind: str) -> None:
    # Machado, Oliveira & Fernandes 2009, severity 1, applied to linear RGB
    matrices = {
        "deuteranopia": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        "protanopia": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
    }
    seen = []
    for colour in PALETTE[:4]:
        rgb = np.array([int(to_hex(colour)[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen.append(np.array(matrices[kind]) @ linear)
    for first, second in itertools.combinations(seen, 2):
        assert np.abs(first - second).max() > 0.06
