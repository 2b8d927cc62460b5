"""What goes with a W&B run beside its numbers: tables, charts and artifacts, described without importing wandb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Row = dict[str, Any]

ChartKind = Literal["confusion", "curves", "bars"]


@dataclass(frozen=True)
class Chart:
    """One of the charts that W&B draws from a table.

    The rows of ``confusion`` hold ``actual``, ``predicted`` and ``count``; those of ``curves`` ``class``, ``x`` and
    ``y``; those of ``bars`` ``label`` and ``value``.
    """

    kind: ChartKind
    title: str
    rows: list[Row]
    x_title: str = ""  # of curves
    y_title: str = ""


@dataclass(frozen=True)
class Artifact:
    """Files under one name and type; W&B makes a new version only where their content differs from the last one's.

    An artifact that is ``used`` is an input of the run, the others are its outputs: that is the lineage W&B draws.
    """

    name: str  # as `names.run_id` makes it
    type: str  # "dataset", "model", "report", "settings"
    files: dict[str, Path | str]  # name in the artifact -> a file that must not change, named where it is; or a text
    metadata: Row = field(default_factory=dict)
    used: bool = False


@dataclass(frozen=True)
class Attachments:
    """What goes with one run; in a table's rows, which all have the same columns, bytes are a PNG image."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    charts: dict[str, Chart] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tables or self.charts or self.artifacts)

    def __or__(self, other: Attachments) -> Attachments:
        """Return both together; of tables and charts of one name, the other's."""
        return Attachments(self.tables | other.tables, self.charts | other.charts, [*self.artifacts, *other.artifacts])


PanelGroup = Literal["search", "trials", "test", "groups", "combinations", "corruptions", "transfer"]
"""What W&B draws itself: over the trials of a search, over the epochs of each, of the held-out test; and what a test
may add: from group to group, ways to use the models, under corruptions, on other datasets."""


@dataclass(frozen=True)
class PageSection:
    """A heading of a report page, the Markdown below it, and which of W&B's panels stand there too."""

    title: str
    text: str
    panels: PanelGroup | None = None


to_search: list[Callable[[Path], Attachments]] = []
"""What is asked, with the run folder, for more to go with the run of a search.

`analysis` knows which settings mattered, and tracking must not import it; so whoever composes the packages, the
command line, puts its function here."""
