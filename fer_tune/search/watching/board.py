"""What a person is shown of a search: one table for a running search and for one that is watched from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from fer_tune.amounts import amount
from fer_tune.console_table import ConsoleTable
from fer_tune.objectives import ACCURACY, Aim

_ROWS = 12  # running trials shown
_FAILURES = 3  # failures shown, the newest
_LINE = 80  # letters of a failure that are shown on a console which has fewer columns, where they wrap


@dataclass(frozen=True)
class Running:
    """A trial under way."""

    trial_id: str
    backbone: str
    origin: str
    epoch: int  # the last one reported; 0 before the first
    value: float | None  # of that epoch, by what the search is for


@dataclass(frozen=True)
class Best:
    """The best trial of a backbone so far."""

    backbone: str
    value: float  # by what the search is for
    trial_id: str
    origin: str
    epoch: int


@dataclass(frozen=True)
class Snapshot:
    """A search at one moment."""

    total: int  # trials of all backbones
    epochs: int  # most epochs of one trial
    completed: int
    stopped: int
    failures: list[str]  # "trial: reason", oldest first
    running: list[Running]
    best: list[Best]
    seconds: float  # since the search began
    left: float | None  # seconds, estimated
    rate: float = 0.0  # training images per second of the running trials together
    cpus: float = 0.0  # that running trials hold together
    gpus: float = 0.0
    memory_mib: float = 0.0  # the highest peak of a running trial, as it reported; of its GPU where it has one
    notes: list[str] = field(default_factory=list)
    aim: Aim = ACCURACY  # what trials are judged by
    too_large: int = 0  # trials that do not fit into memory

    @property
    def ended(self) -> int:
        """Trials that have ended in any way."""
        return self.completed + self.stopped + self.too_large + len(self.failures)


def board(snapshot: Snapshot) -> Group:
    """Draw the table, for 80 columns; on fewer, lines wrap and trials are listed."""
    shown = ConsoleTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("running", "backbone", "origin", "epoch", snapshot.aim.head):
        numeric = column in ("epoch", snapshot.aim.head)
        shown.add_column(column, header_style="bold", justify="right" if numeric else "left", no_wrap=True)
    for trial in snapshot.running[:_ROWS]:
        shown.add_row(
            trial.trial_id,
            trial.backbone,
            trial.origin,
            f"{trial.epoch}/{snapshot.epochs}",
            snapshot.aim.text(trial.value),
        )
    if len(snapshot.running) > _ROWS:
        shown.add_row(f"and {len(snapshot.running) - _ROWS} more")
    lines = [
        _headline(snapshot),
        _clockline(snapshot),
        *_in_use(snapshot),
        *(_best_line(best, snapshot.aim) for best in snapshot.best),
    ]
    failures = [_Beginning(f"failed {failure}") for failure in snapshot.failures[-_FAILURES:]]
    notes = [Text(note, overflow="fold") for note in snapshot.notes]  # whole: they have commands to copy
    return Group(
        *[Text(line, overflow="fold") for line in lines], *failures, *notes, *([shown] if snapshot.running else [])
    )


class _Beginning:
    """As much of a text as a line of the console has, or of a usual one."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = Text(self._text, overflow="fold")
        text.truncate(max(options.max_width, _LINE), overflow="ellipsis")
        yield text


def _headline(snapshot: Snapshot) -> str:
    parts = [
        f"trials {snapshot.ended}/{snapshot.total}",
        f"running {len(snapshot.running)}",
        f"completed {snapshot.completed}",
        f"stopped early {snapshot.stopped}",
    ]
    if snapshot.too_large:
        parts.append(f"too large {snapshot.too_large}")
    if snapshot.failures:
        parts.append(f"failed {len(snapshot.failures)}")
    return "  ".join(parts)


def _clockline(snapshot: Snapshot) -> str:
    line = f"{clock(snapshot.seconds)} elapsed"
    if snapshot.ended < snapshot.total:
        line += f", {time_left(snapshot.left)}"
    return f"{line}, {snapshot.rate:,.0f} images/s" if snapshot.rate else line


def _in_use(snapshot: Snapshot) -> list[str]:
    parts = [amount(number, kind) for number, kind in ((snapshot.cpus, "CPU"), (snapshot.gpus, "GPU")) if number]
    if snapshot.memory_mib:
        parts.append(f"up to {snapshot.memory_mib:,.0f} MiB a trial")
    return [f"in use {', '.join(parts)}"] if parts else []


def _best_line(best: Best, aim: Aim) -> str:
    return (
        f"best {best.backbone}: {aim.text(best.value)} {aim.head}, trial {best.trial_id} ({best.origin}), "
        f"epoch {best.epoch}"
    )


def time_left(seconds: float | None) -> str:
    """Return the estimate in words."""
    return "time left not known yet" if seconds is None else f"about {clock(seconds)} left"


def in_parts(parts: int | None) -> str:
    """Return that a batch was split to fit into memory, in words; empty where it was not."""
    return f", batches in {parts} parts to fit into memory" if parts and parts > 1 else ""


def clock(seconds: float) -> str:
    """Return seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
