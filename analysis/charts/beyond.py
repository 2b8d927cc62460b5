"""Interactive figures beyond the mean over one split: accuracy under corruptions."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.charts.look import PALETTE, QUIET, Chart, chart, rounded
from analysis.results import Corruptions

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")


def corruptions(found: Corruptions) -> Chart:
    """Draw the accuracy under each corruption over its strength, with intervals; strength 0 is the image as it is."""
    figure = go.Figure()
    figure.add_hline(y=100 * found.clean.value, line={"color": QUIET, "width": 1, "dash": "dash"})
    for number, each in enumerate(found.each):
        colour = PALETTE[number % len(PALETTE)]
        shift = 0.05 * (number - (len(found.each) - 1) / 2)
        estimates = [found.clean, *(at.accuracy for at in each.at)]
        told = ["as it is", *(f"{each.name}, strength {at.strength} ({at.parameter:.3g})" for at in each.at)]
        figure.add_scatter(
            x=rounded([0.0, *(at.strength + shift for at in each.at)]),
            y=rounded(100 * one.value for one in estimates),
            mode="lines+markers",
            name=each.name,
            line={"color": colour},
            marker={"symbol": _SYMBOLS[number % len(_SYMBOLS)], "color": colour, "size": 7},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": rounded(100 * (one.high - one.value) for one in estimates),
                "arrayminus": rounded(100 * (one.value - one.low) for one in estimates),
                "color": colour,
                "thickness": 1.4,
                "width": 0,
            },
            text=[
                f"{words}<br>{100 * one.value:.1f} % ({100 * one.low:.1f} to {100 * one.high:.1f})"
                for words, one in zip(told, estimates, strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    ticks = ["as it is", *(str(at.strength) for at in found.each[0].at)]
    figure.update_xaxes(title="strength of the corruption", tickvals=list(range(len(ticks))), ticktext=ticks)
    figure.update_yaxes(title="accuracy (%, 95 % intervals)", rangemode="tozero")
    return chart(figure, height=460)
