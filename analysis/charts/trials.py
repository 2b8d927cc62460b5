"""Interactive figures over trials and epochs: the history of a search, its curves, what accuracy cost, refits' curves.

What trials are judged by goes in as it is on record; shares are drawn in per cent. Who points at a trial reads which
it is.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.charts.look import (
    MARKS,
    MOST_LINES,
    PALETTE,
    PUBLISHED,
    QUIET,
    SAID,
    Chart,
    chart,
    looks,
    plain,
    rounded,
)
from analysis.figures.curves import so_far
from analysis.portable import without_folders
from analysis.trials.pareto import MEANINGS, measured, pareto_front
from analysis.words import settings_text
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import ACCURACY, OBJECTIVES, Aim, Objective

Rows = list[dict[str, Any]]


def told(row: dict[str, Any], aim: Aim) -> str:
    """Return what a reader sees who points at a trial: `Run.rows` has the row."""
    lines = [
        f"<b>{plain(row['trial_id'])}</b> {plain(row['backbone'])}",
        plain(f"{row['origin']}, {row['status'].replace('_', ' ')}"),
    ]
    if row[aim.column] is not None:
        lines.append(f"{aim.text(row[aim.column])} at epoch {row['best_epoch']} of {row['epochs']} trained")
    lines += plain(without_folders(settings_text(row["config"]))).split(", ")
    return "<br>".join(line for line in lines if line)


def _kinds(rows: Rows, published: set[str]) -> dict[str, Rows]:
    kinds: dict[str, Rows] = {kind: [] for kind in MARKS}
    for row in rows:
        kinds["published" if row["origin"] in published else row["status"]].append(row)
    return {kind: own for kind, own in kinds.items() if own}


def _whole(epochs: float) -> int:
    """Return how far apart the marks of an axis of epochs stand: whole epochs, a dozen marks at most."""
    return max(1, math.ceil((epochs if epochs == epochs else 1) / 12))


def history(rows: Rows, published: set[str], aim: Aim = ACCURACY) -> Chart:
    """Draw every trial in the order of its start, and the best so far of each backbone.

    Args:
        rows: `Run.rows`.
        published: names of the published configurations.
        aim: what trials are judged by.
    """
    digits = 2 if aim.share else 4
    figure = go.Figure()
    number = {row["trial_id"]: place for place, row in enumerate(rows, start=1)}
    scored = [row for row in rows if row[aim.column] is not None and row["status"] in SAID]
    for backbone, look in looks(list(dict.fromkeys(row["backbone"] for row in rows))).items():
        own = [row for row in scored if row["backbone"] == backbone]
        if not own:
            continue
        best = so_far(aim.scale * pd.Series([row[aim.column] for row in own], dtype=float), aim)
        steps: dict[str, Any] = {"line": look.line | {"shape": "hv", "width": 2}, "hoverinfo": "skip"}
        ends = [*(number[row["trial_id"]] for row in own), len(rows)]
        name = f"{backbone}: best so far"
        figure.add_scatter(x=ends, y=rounded([*best, best.iloc[-1]], digits), mode="lines", name=name, **steps)
        for kind, some in _kinds(own, published).items():
            figure.add_scatter(
                x=[number[row["trial_id"]] for row in some],
                y=rounded((aim.scale * row[aim.column] for row in some), digits),
                mode="markers",
                name=f"{backbone}: {SAID[kind]}",
                marker=look.mark(kind),
                text=[told(row, aim) for row in some],
                hovertemplate="%{text}<extra></extra>",
            )
    failed = [row for row in rows if row["status"] in ("failed", TOO_LARGE)]
    if failed:
        least = min((aim.scale * row[aim.column] for row in scored), default=0.0)
        figure.add_scatter(
            x=[number[row["trial_id"]] for row in failed],
            y=[least] * len(failed),
            mode="markers",
            name="failed or too large" if any(row["status"] == TOO_LARGE for row in failed) else "failed",
            marker={"symbol": "x", "size": 9, "color": QUIET},
            text=[f"{told(row, aim)}<br>{plain(without_folders(str(row['error'] or ''))[:120])}" for row in failed],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_xaxes(title="trial, in the order of start")
    figure.update_yaxes(title=f"best {aim.label}")
    return chart(figure, height=460)


def curves(rows: Rows, epochs: pd.DataFrame, aim: Aim = ACCURACY) -> Chart:
    """Draw what the best `MOST_LINES` trials are judged by over their epochs, a dot at the end of each.

    Args:
        rows: `Run.rows`.
        epochs: `Run.epochs`.
        aim: what trials are judged by.
    """
    digits = 2 if aim.share else 4
    figure = go.Figure()
    ranked = sorted(rows, key=lambda row: -aim.key(row[aim.column]))[:MOST_LINES]
    known = {row["trial_id"]: row for row in ranked}
    values = {str(name): own for name, own in epochs.groupby("trial_id", sort=False) if str(name) in known}
    for backbone, look in looks(list(dict.fromkeys(row["backbone"] for row in rows))).items():
        own = [row for row in rows if row["backbone"] == backbone and row["trial_id"] in values]
        across: list[Any] = []
        up: list[Any] = []
        names: list[str] = []
        for row in own:  # one trace with gaps: hundreds of them would be slow
            line = values[row["trial_id"]].sort_values("epoch")
            across += [*map(int, line["epoch"]), None]
            up += [*rounded(aim.scale * line[aim.column], digits), None]
            names += [f"{row['trial_id']}, {row['status']}"] * (len(line) + 1)
        figure.add_scatter(
            x=across,
            y=up,
            mode="lines",
            name=backbone,
            line=look.line | {"width": 1.3},
            opacity=0.6,
            text=names,
            hovertemplate="%{text}<br>epoch %{x}: %{y}<extra></extra>",
        )
        for kind in ("completed", "stopped"):
            ended = [row for row in own if row["status"] == kind]
            last = [values[row["trial_id"]].sort_values("epoch").iloc[-1] for row in ended]
            if not last:
                continue
            figure.add_scatter(
                x=[int(line["epoch"]) for line in last],
                y=rounded((aim.scale * line[aim.column] for line in last), digits),
                mode="markers",
                name=f"{backbone}: {SAID[kind]}",
                marker=look.mark(kind),
                text=[told(row, aim) for row in ended],
                hovertemplate="%{text}<extra></extra>",
            )
    figure.update_xaxes(title="epoch", dtick=_whole(epochs["epoch"].max()))
    figure.update_yaxes(title=aim.label)
    return chart(figure, height=480)


def budget(rows: Rows, published: set[str], aim: Aim = ACCURACY) -> Chart:
    """Draw the best so far against the epochs that had been spent, of each backbone.

    Args:
        rows: `Run.rows`, in the order of start; a trial's epochs count from its start.
        published: names of the published configurations, whose own level is a dashed line.
        aim: what trials are judged by.
    """
    digits = 2 if aim.share else 4
    known = 0  # published ones drawn so far
    figure = go.Figure()
    for backbone, look in looks(list(dict.fromkeys(row["backbone"] for row in rows))).items():
        own = [row for row in rows if row["backbone"] == backbone]
        spent = pd.Series([row["epochs"] or 0 for row in own]).cumsum()
        best = so_far(aim.scale * pd.Series([row[aim.column] for row in own], dtype=float), aim).ffill()
        figure.add_scatter(
            x=[int(value) for value in spent],
            y=rounded(best, digits),
            mode="lines+markers",
            name=backbone,
            line=look.line | {"shape": "hv"},
            marker={"size": 6, "symbol": look.symbol},
            hovertemplate="after %{x} epochs: %{y}<extra></extra>",
        )
        for row in own:
            if row["origin"] in published and row[aim.column] is not None:
                line = {"color": PUBLISHED, "dash": "dash", "width": 1.3}
                side = ("top right", "bottom left", "top left", "bottom right")[known % 4]  # levels may be close
                known += 1
                words = {"text": f"{plain(row['origin'])} alone", "font": {"size": 11}}
                figure.add_hline(
                    y=round(aim.scale * row[aim.column], digits), line=line, annotation=words, annotation_position=side
                )
    figure.update_xaxes(title="epochs spent, in the order of start")
    figure.update_yaxes(title=f"best {aim.label}, so far")
    return chart(figure)


def pareto(rows: Rows, second: Objective, published: set[str], aim: Aim = ACCURACY) -> Chart:
    """Draw what trials are judged by against the second objective; a line joins those that none beats in both.

    Args:
        rows: `Run.rows`, of which at least one has both values.
        second: what was to be small.
        published: names of the published configurations.
        aim: what trials are judged by.
    """
    digits = 2 if aim.share else 4
    figure = go.Figure()
    column = OBJECTIVES[second].column
    known = [row for row in measured(rows, second, aim) if row["status"] in SAID]
    for backbone, look in looks(list(dict.fromkeys(row["backbone"] for row in known))).items():
        for kind, some in _kinds([row for row in known if row["backbone"] == backbone], published).items():
            figure.add_scatter(
                x=[row[column] for row in some],
                y=rounded((aim.scale * row[aim.column] for row in some), digits),
                mode="markers",
                name=f"{backbone}: {SAID[kind]}",
                marker=look.mark(kind),
                text=[f"{told(row, aim)}<br>{MEANINGS[second]}: {row[column]:,}" for row in some],
                hovertemplate="%{text}<extra></extra>",
            )
    front = pareto_front(rows, second, aim)[::-1]
    figure.add_scatter(
        x=[row[column] for row in front],
        y=rounded((aim.scale * row[aim.column] for row in front), digits),
        mode="lines",
        name="the front",
        line={"shape": "hv", "color": QUIET},
        hoverinfo="skip",
    )
    values = [row[column] for row in known]
    figure.update_xaxes(title=MEANINGS[second])
    if min(values) > 0 and max(values) / min(values) > 10:  # as on paper
        figure.update_xaxes(type="log")
    figure.update_yaxes(title=f"best {aim.label}")
    return chart(figure)


def learning(epochs: pd.DataFrame) -> Chart:
    """Draw loss and accuracy of one configuration's refits: a thin line for each seed, a thick one for their mean.

    Args:
        epochs: rows of `Run.refit_epochs`, all seeds below each other.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    for column, (metric, label, factor, digits) in enumerate(
        (("loss", "loss (nats)", 1, 4), ("accuracy", "accuracy (%)", 100, 2)), start=1
    ):
        for split, said, colour, dash in (
            ("train", "train (augmented images)", PALETTE[1], "dash"),
            ("val", "validation", PALETTE[0], "solid"),
        ):
            for name, own in epochs.groupby("trial_id"):
                seed = str(name).rpartition("_")[2]
                figure.add_scatter(
                    x=[int(epoch) for epoch in own["epoch"]],
                    y=rounded(factor * own[f"{split}_{metric}"], digits),
                    mode="lines",
                    name=said,
                    legendgroup=said,
                    showlegend=False,
                    line={"color": colour, "width": 1, "dash": dash},
                    opacity=0.5,
                    hovertemplate=f"seed {seed}, {said}<br>epoch %{{x}}: %{{y}}<extra></extra>",
                    row=1,
                    col=column,
                )
            mean = factor * epochs.groupby("epoch")[f"{split}_{metric}"].mean()
            figure.add_scatter(
                x=[int(epoch) for epoch in mean.index],
                y=rounded(mean, digits),
                mode="lines",
                name=said,
                legendgroup=said,
                showlegend=column == 1,
                line={"color": colour, "width": 2.6, "dash": dash},
                hovertemplate=f"mean, {said}<br>epoch %{{x}}: %{{y}}<extra></extra>",
                row=1,
                col=column,
            )
        figure.update_yaxes(title=label, row=1, col=column)
        figure.update_xaxes(title="epoch", dtick=_whole(epochs["epoch"].max()), row=1, col=column)
    return chart(figure, least=560)
