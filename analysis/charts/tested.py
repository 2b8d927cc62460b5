"""Interactive figures of what the held-out split shows, and of estimates beside each other with their intervals.

Shares in [0, 1] go in and are drawn in per cent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from analysis.charts.look import DASHES, PALETTE, QUIET, Chart, chart, looks, plain, rounded
from analysis.figures.bars import Bar
from analysis.figures.heldout import MOST_NAMED
from analysis.results import ClassScores, GroupScore, Versus
from analysis.statistics.calibration.probabilistic import BINS
from analysis.statistics.calibration.reliability import Reliability
from analysis.statistics.roc import Roc
from fer_tune.amounts import amount
from fer_tune.run_folder import DRAWN

_KINDS = {"searched": PALETTE[0], "published": PALETTE[1], "reported": QUIET}
_ROW = 44  # pixels of one estimate, with room for a name of two lines


def confusion(counts: NDArray[Any], classes: list[str], *, seeds: int) -> Chart:
    """Draw a confusion matrix in per cent of each true class.

    Args:
        counts: (C, C) counts summed over seeds; rows are the true classes.
        classes: the C names.
        seeds: how many were summed.
    """
    names = [plain(name) for name in classes]
    total = counts.sum(1, keepdims=True)
    share = 100 * np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    # Each class stands for itself: numbers as names would be taken for numbers, and names twice for one.
    figure = go.Figure(
        go.Heatmap(
            z=[rounded(row, 3) for row in share],  # rounded twice, 7.48 would be told as 8
            text=[[f"{int(number):,}" for number in row] for row in counts],
            x=list(range(len(classes))),
            y=list(range(len(classes))),
            customdata=[[[true, predicted] for predicted in names] for true in names],
            zmin=0,
            zmax=100,
            colorscale="Blues",
            texttemplate="%{z:.0f}" if len(classes) <= 20 else None,
            hovertemplate="true %{customdata[0]}, predicted %{customdata[1]}<br>%{z:.1f} % of the true class, %{text} "
            + ("images<extra></extra>" if seeds == 1 else f"over {seeds} seeds<extra></extra>"),
            colorbar={"title": {"text": "% of the<br>true class"}, "thickness": 12},
        )
    )
    ticks = {"tickvals": list(range(len(classes))), "ticktext": names, "showgrid": False, "zeroline": False}
    figure.update_xaxes(title="predicted", **ticks)
    figure.update_yaxes(title="true", autorange="reversed", **ticks)
    return chart(figure, height=max(420, 90 + 40 * min(len(classes), 20)), least=max(420, 34 * min(len(classes), 40)))


def per_class(rows: list[ClassScores]) -> Chart:
    """Draw F1, precision and recall of each class with their intervals, the best F1 on top."""
    figure = go.Figure()
    ordered = sorted(rows, key=lambda row: row.f1.value)
    looks = (("F1", "circle", 0.0), ("precision", "square", 0.24), ("recall", "diamond", -0.24))
    for (name, symbol, shift), colour in zip(looks, PALETTE, strict=False):
        estimates = [getattr(row, name.lower()) for row in ordered]
        figure.add_scatter(
            x=rounded(100 * each.value for each in estimates),
            y=[place + shift for place in range(len(ordered))],
            mode="markers",
            name=name,
            marker={"symbol": symbol, "color": colour, "size": 8},
            error_x=_bars([(each.value, each.low, each.high) for each in estimates], colour),
            text=[f"{plain(row.name)}: {_told(each)}" for row, each in zip(ordered, estimates, strict=True)],
            hovertemplate="%{text}<extra>" + name + "</extra>",
        )
    names = [f"{plain(row.name)}<br>{amount(row.support, 'image')}" for row in ordered]
    figure.update_yaxes(tickvals=list(range(len(ordered))), ticktext=names, showgrid=False)
    figure.update_xaxes(title="% (95 % intervals)")
    return chart(figure, height=130 + _ROW * len(rows))


def roc(curves: list[Roc]) -> Chart:
    """Draw the ROC curve of each class against the rest, mean over seeds; see `analysis.statistics.roc`."""
    figure = go.Figure()
    figure.add_scatter(x=[0, 100], y=[0, 100], mode="lines", line={"color": QUIET, "width": 1}, showlegend=False)
    for number, curve in enumerate(curves):
        name = plain(curve.name)
        figure.add_scatter(
            x=rounded(100 * curve.wrong),
            y=rounded(100 * curve.found),
            mode="lines",
            name=f"{name} {100 * curve.area:.1f} %",
            line={"color": PALETTE[number % len(PALETTE)], "dash": DASHES[number % len(DASHES)]},
            hovertemplate=f"{name}: %{{y:.1f}} % found<br>%{{x:.1f}} % of the others taken for it<extra></extra>",
        )
    figure.update_xaxes(title="images of other classes taken for it (%)", range=[0, 100])
    figure.update_yaxes(title="its images found (%)", range=[0, 101])
    return chart(figure, height=520)


def reliability(curves: list[Reliability]) -> Chart:
    """Draw accuracy against confidence in bins, all seeds together; on the diagonal confidence is what it says.

    Args:
        curves: the probabilities as they are, then after temperature scaling where there is one.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.14)
    diagonal = {"color": QUIET, "dash": "dash", "width": 1}
    whole = {"mode": "lines", "line": diagonal, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=[0, 100], y=[0, 100], **whole, row=1, col=1)
    for own, look in zip(curves, looks([each.label for each in curves]).values(), strict=True):
        figure.add_scatter(
            x=rounded(100 * own.confidence),
            y=rounded(100 * own.accuracy),
            mode="lines+markers",
            line=look.line,
            marker={"symbol": look.symbol, "size": 7},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": rounded(100 * np.abs(own.high - own.accuracy)),
                "arrayminus": rounded(100 * np.abs(own.accuracy - own.low)),
                "thickness": 1,
                "width": 0,
            },
            name=own.label,
            text=[f"{number:,} predictions" for number in own.counts],
            hovertemplate="confidence %{x:.1f} %, right %{y:.1f} %<br>%{text}<extra></extra>",
            row=1,
            col=1,
        )
        figure.add_bar(
            x=rounded(100 * (np.arange(BINS) + 0.5) / BINS),
            y=rounded(100 * own.shares),
            marker={"color": look.colour, "pattern": {"shape": "" if own is curves[0] else "/"}},
            hovertemplate="%{y:.1f} % of the predictions<extra>" + own.label + "</extra>",
            showlegend=False,
            row=1,
            col=2,
        )
    figure.update_xaxes(title="confidence (%)", range=[0, 101])
    figure.update_yaxes(title="accuracy (%)", range=[0, 101], row=1, col=1)
    figure.update_yaxes(title="predictions (%)", row=1, col=2)
    return chart(figure, least=560)


def differences(pairs: list[Versus]) -> Chart:
    """Draw how far the winner is from each other tested configuration, in points of accuracy, with intervals."""
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": QUIET, "width": 1})
    for place, pair in enumerate(reversed(pairs)):
        colour = PALETTE[0] if pair.shown else QUIET
        figure.add_scatter(
            x=rounded([100 * pair.difference]),
            y=[place],
            mode="markers",
            marker={"color": colour, "size": 10},
            error_x=_bars([(pair.difference, pair.low, pair.high)], colour),
            text=[plain(pair.words)],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )
    names = [pair.second_origin if pair.second_origin not in DRAWN else pair.second for pair in reversed(pairs)]
    ticks = [f"against<br>{plain(name).replace('/', '/<br>')}" for name in names]
    figure.update_yaxes(tickvals=list(range(len(pairs))), ticktext=ticks, range=[-0.6, len(pairs) - 0.4])
    figure.update_xaxes(title="points more (95 % interval)")  # short, as a telephone is narrow
    return chart(figure, height=160 + 60 * len(pairs))


def groups(rows: list[GroupScore]) -> Chart:
    """Draw the accuracy in each group of images with its interval, the least accurate on top; many stand in a row."""
    figure = go.Figure()
    crowded = len(rows) > MOST_NAMED
    ordered = sorted(rows, key=lambda row: -row.accuracy)
    estimates = [(row.accuracy, row.low, row.high) for row in ordered]
    values, places = rounded(100 * row.accuracy for row in ordered), list(range(len(ordered)))
    bars = _bars(estimates, PALETTE[0], thin=crowded)
    figure.add_scatter(
        **({"x": places, "y": values, "error_y": bars} if crowded else {"x": values, "y": places, "error_x": bars}),
        mode="markers",
        marker={"color": PALETTE[0], "size": 5 if crowded else 8},
        text=[
            f"{plain(row.group)} ({amount(row.images, 'image')})<br>{_span(*each)}"
            for row, each in zip(ordered, estimates, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
    )
    if crowded:
        figure.update_xaxes(title=f"{len(rows):,} groups, by accuracy")
        figure.update_yaxes(title="accuracy (%, 95 % interval)")
        return chart(figure)
    names = [f"{plain(row.group)} ({row.images:,})" for row in ordered]
    figure.update_yaxes(tickvals=places, ticktext=names, range=[-0.6, len(rows) - 0.4])
    figure.update_xaxes(title="accuracy (%, 95 % interval)")
    return chart(figure, height=130 + 26 * len(rows))


def bars(rows: list[Bar], label: str, scale: float = 100.0) -> Chart:
    """Draw estimates below each other, the first on top: the mean with its interval, and the values behind it.

    Args:
        rows: the estimates.
        label: of the axis.
        scale: what values are multiplied by; shares are drawn in per cent.
    """
    digits = 1 if scale == 100 else 3
    figure = go.Figure()
    for place, row in enumerate(reversed(rows)):
        colour = _KINDS[row.kind]
        if row.points:
            figure.add_scatter(
                x=rounded((scale * point for point in row.points), digits + 1),
                y=[place] * len(row.points),
                mode="markers",
                marker={"color": colour, "size": 9, "opacity": 0.45},
                hovertemplate="one seed: %{x}<extra></extra>",
                showlegend=False,
            )
        known = row.low is not None and row.high is not None
        figure.add_scatter(
            x=rounded([scale * row.value], digits + 1),
            y=[place],
            mode="markers+text",
            text=[f"{scale * row.value:.{digits}f}"],
            textposition="top center",
            marker={"color": colour, "size": 15 if row.points else 9, "symbol": "line-ns" if row.points else "square"}
            | ({"line": {"width": 2.5, "color": colour}} if row.points else {}),
            error_x=_bars([(row.value, row.low or 0.0, row.high or 0.0)], colour) if known else None,
            hovertemplate=(_span(row.value, row.low, row.high) if scale == 100 else "%{x}") + "<extra></extra>",
            showlegend=False,
        )
    names = [plain(row.name).replace("\n", "<br>") for row in reversed(rows)]
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=names, range=[-0.6, len(rows) - 0.3], showgrid=False)
    figure.update_xaxes(title=label)
    return chart(figure, height=130 + 58 * len(rows), least=560)


def _bars(estimates: list[tuple[float, float, float]], colour: str, *, thin: bool = False) -> dict[str, Any]:
    """Return plotly's error bars of (value, low, high), shares in [0, 1]."""
    return {
        "type": "data",
        "symmetric": False,
        "array": rounded(100 * (high - value) for value, _, high in estimates),
        "arrayminus": rounded(100 * (value - low) for value, low, _ in estimates),
        "color": colour,
        "thickness": 1 if thin else 1.8,
        "width": 0,
    }


def _told(each: Any) -> str:
    return _span(each.value, each.low, each.high)


def _span(value: float, low: float | None, high: float | None) -> str:
    interval = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * value:.1f} %{interval}"
