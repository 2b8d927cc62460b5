"""What is printed of published experiments: settings, epochs, and how they ended."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from analysis.published.experiment import Experiment
from fer_tune.config import TrialConfig
from fer_tune.console_table import ConsoleTable
from fer_tune.run_folder import Published
from fer_tune.search.spaces.entries import TOPICS
from fer_tune.search.spaces.parameter import number
from fer_tune.search.spaces.published import reported_accuracy, reported_figures


def print_entry(entry: Published, config: TrialConfig, console: Console) -> None:
    """Print every setting, where its value is from, and all that the paper reports."""
    console.print(f"{entry.name}: {entry.source}")
    table = ConsoleTable("setting", "value", "left open by the paper", box=None, pad_edge=False)
    settings = config.model_dump(exclude_defaults=True) | {field: getattr(config, field) for field in entry.config}
    for field, value in settings.items():
        table.add_row(field, number(value), entry.chosen.get(field, ""))
    console.print(table)
    for topic in TOPICS:
        if topic in entry.chosen:
            console.print(f"{topic}: {entry.chosen[topic]}")
    console.print(f"reported: {reported_figures(entry)}")


def print_epoch(metrics: dict[str, Any], console: Console) -> None:
    """Print a row of the table of epochs."""
    console.print(
        f"{metrics['epoch']:5d} {metrics['train_loss']:10.4f} {100 * metrics['train_accuracy']:8.2f} % "
        f"{metrics['val_loss']:9.4f} {100 * metrics['val_accuracy']:7.2f} % {metrics['seconds']:8.1f}"
    )


def print_end(experiment: Experiment, result: dict[str, Any], images: int, console: Console) -> None:
    """Print what a single experiment came to."""
    low, high = result["interval"]
    console.print(
        f"\n{result['reason']}\nbest validation accuracy: {100 * result['best_val_accuracy']:.2f} % (95 % interval "
        f"{100 * low:.1f} to {100 * high:.1f}, one seed, {images} images), epoch "
        f"{result['best_epoch']} of {result['epochs']}, {result['seconds']:.0f} s\n"
        f"reported by its paper: {reported_accuracy(experiment.entry) or 'none'}\n"
        f"weights: {experiment.folder / 'best.safetensors'}"
    )


def line(experiment: Experiment, result: dict[str, Any], ended: int, of: int) -> str:
    """Return how one of several experiments ended, in a line."""
    start = f"[{ended}/{of}] {experiment.entry.name}"
    if "error" in result:
        return f"{start}: FAILED: {result['error']}"
    accuracy = f"{100 * result['best_val_accuracy']:.2f} % on validation at epoch {result['best_epoch']}"
    return f"{start}: {accuracy} of {result['epochs']}, {result['seconds']:.0f} s ({result['reason']})"


def table(experiments: list[Experiment], results: dict[str, dict[str, Any]]) -> ConsoleTable:
    """Return several experiments beside what their papers report."""
    shown = ConsoleTable("experiment", "backbone", "reported", box=None, pad_edge=False)
    for name in ("val acc (95 %)", "epochs", "seconds"):
        shown.add_column(name, justify="right")
    for one in experiments:
        result = results.get(one.entry.name, {"error": "not ended"})
        cells = ["failed" if "error" in result else "", "", ""]
        if "error" not in result:
            low, high = (f"{100 * bound:.1f}" for bound in result["interval"])
            accuracy = f"{100 * result['best_val_accuracy']:.1f} ({low} to {high})"
            cells = [accuracy, f"{result['best_epoch']} of {result['epochs']}", f"{result['seconds']:.0f}"]
        shown.add_row(one.entry.name, one.config.backbone, reported_accuracy(one.entry) or "none", *cells)
    return shown
