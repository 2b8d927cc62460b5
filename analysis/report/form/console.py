"""What the analysis commands print: progress of the refits, and tables."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType

import pyarrow.parquet as pq
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from analysis.refits.training import Ending, RefitTask
from analysis.report.form import blocks
from analysis.results import VIEW_NAMES, TestResult
from analysis.run import ConfigRefit
from analysis.words import full, mean_sd, percent, told, unit
from fer_tune.amounts import amount
from fer_tune.console_table import ConsoleTable
from fer_tune.objectives import ACCURACY, OBJECTIVES, Aim

_WIDTH = 80  # letters in a line that every terminal has; a table takes two more for each column, and one
_NAME = 36  # letters of a row's name that stay on one line: the figures need the other half of 80


class RefitProgress:
    """Shows refits: a line for each that ends and, on a terminal, a bar over all their epochs."""

    def __init__(self, console: Console, tasks: list[RefitTask]) -> None:
        self._console = console
        self._tasks = tasks
        self._ended = 0
        self._epochs = {task.name: 0 for task in tasks}
        self._read = 0.0
        self._bar = Progress(
            TextColumn("refit"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._total = self._bar.add_task("refit", total=sum(task.epochs for task in tasks))

    def __enter__(self) -> RefitProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, ending: Ending | None) -> None:
        """Show one ending; without one, read how far the running refits are."""
        if ending is None:
            if time.monotonic() - self._read > 2 and self._console.is_terminal:
                self._read_epochs()
        else:
            self._ended += 1
            self._epochs[ending.task.name] = ending.task.epochs  # it may have stopped early
            place = f"[{self._ended}/{len(self._tasks)}] {ending.task.config_id} seed {ending.task.seed}"
            if ending.result is None:
                self._console.print(f"{place}: FAILED twice: {ending.error}", markup=False, highlight=False)
            else:
                result = ending.result
                words = f"trained on train and val for {amount(result.epochs, 'epoch')}"
                if ending.task.on == "train":
                    aim = OBJECTIVES[ending.task.objective]
                    value = full(getattr(result, aim.column), aim)
                    words = f"{aim.meaning} {value} at epoch {result.best_epoch} of {result.epochs}"
                text = f"{place}: {words}, {result.seconds:.0f} s"
                self._console.print(text, markup=False, highlight=False)
        self._bar.update(self._total, completed=sum(self._epochs.values()))

    def _read_epochs(self) -> None:
        self._read = time.monotonic()
        for task in self._tasks:
            file = task.folder / "epochs.parquet"
            if self._epochs[task.name] < task.epochs and file.is_file():
                self._epochs[task.name] = max(self._epochs[task.name], pq.read_metadata(file).num_rows)


def refit_table(refits: Iterable[ConfigRefit], aim: Aim = ACCURACY) -> ConsoleTable:
    """Return the refitted configurations with what they are judged by: mean, spread and each seed, best first."""
    title = f"Refits: {aim.meaning} in {unit(aim)}, best epoch of each seed"
    table = ConsoleTable(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("configuration", "tried as", "in search"):
        table.add_column(name, no_wrap=name == "configuration")
    table.add_column("mean ± sd", justify="right", no_wrap=True)
    table.add_column("each seed", min_width=len("77.2  74.7  75.3"))  # three seeds stay on a line; names are cut first
    for refit in sorted(refits, key=lambda r: -r.key):
        each = [told(value, aim) for value in refit.values]
        each += ["failed"] * len(refit.failed) + ["to do"] * len(refit.missing)
        table.add_row(
            refit.config.config_id,
            refit.config.origin,
            told(refit.config.search_value, aim),
            mean_sd(refit.values, aim),
            "  ".join(each),
        )
    return table


def score_table(result: TestResult) -> ConsoleTable:
    """Return accuracy, balanced accuracy and macro F1 of the tested models, with more views, and of their ensemble."""
    title = f"{result.dataset}, held-out split, {amount(len(result.seeds), 'seed')}: scores in % with 95 % intervals"
    table = ConsoleTable(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in ("accuracy", "balanced\naccuracy", "macro F1"):
        table.add_column(name, justify="right")  # where room lacks, the interval wraps: an ellipsis would hide it
    for name, scores in [("image alone", result), *((VIEW_NAMES.get(k, k), v) for k, v in result.views.items())]:
        cells = (scores.accuracy, scores.balanced_accuracy, scores.macro_f1)
        table.add_row(name, *(f"{percent(e.value)} ({percent(e.low)}–{percent(e.high)})" for e in cells))
        if scores.ensemble is not None:
            joint = scores.ensemble
            cells = (joint.accuracy, joint.balanced_accuracy, joint.macro_f1)
            row = (f"{percent(e.value)} ({percent(e.low)}–{percent(e.high)})" for e in cells)
            table.add_row("  ensemble of the seeds", *row)
    return table


def class_table(result: TestResult) -> ConsoleTable:
    """Return the scores of each class on the held-out split, in per cent with their intervals."""
    title = "Each class: scores in % with 95 % intervals"
    table = ConsoleTable(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("class", no_wrap=True)
    for name in ("precision", "recall", "F1"):
        table.add_column(name, justify="right")
    table.add_column("images", justify="right", no_wrap=True)
    for row in result.per_class:
        cells = [
            f"{percent(e.value)} ({percent(e.low)}–{percent(e.high)})" for e in (row.precision, row.recall, row.f1)
        ]
        table.add_row(row.name, *cells, str(row.support))
    return table


def plain_table(table: blocks.Table) -> ConsoleTable:
    """Return a table of a report for a terminal; what stands under a cell has a line of its own."""
    shown = ConsoleTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    rows = [[_cell(cell, "–") for cell in row.cells] for row in table.rows]
    lines = ([column.short.split(), *(row[n].split("\n") for row in rows)] for n, column in enumerate(table.columns))
    if 1 + sum(2 + max(len(line) for cell in column for line in cell) for column in lines) > _WIDTH:
        # Where room lacks, an interval is broken after its dash, and not within a number.
        rows = [[_cell(cell, "– ") for cell in row.cells] for row in table.rows]
    for number, column in enumerate(table.columns):
        widest = max(map(len, column.short.split()), default=0)  # a word of a heading is not broken
        names = number == 0 and max((len(row[0]) for row in rows), default=0) <= _NAME  # it names its row
        shown.add_column(column.short, justify=column.align, no_wrap=names, overflow="fold", min_width=widest)
    for row in rows:
        shown.add_row(*row)
    return shown


def _cell(cell: blocks.Cell, dash: str) -> str:
    text, under = ("".join(span.text for span in part) for part in (cell.text, cell.under))
    return "\n".join(filter(None, (text, under.replace(" to ", dash))))  # an interval, on a narrow line
