"""`fer-tune published`: list the configurations that papers picked by hand, and train one as published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis.actions.published import run_published
from fer_tune.amounts import amount
from fer_tune.cli.parts.groups import group
from fer_tune.cli.parts.shell import command as made_from

if TYPE_CHECKING:
    from fer_tune.run_folder import Published

app = group(help="List the configurations that papers picked by hand, and train one.")


@app.command("list")
def list_published() -> None:
    """List every published configuration: its dataset, backbone, reported accuracy, and what its paper leaves open."""
    from fer_tune.console_table import ConsoleTable, table_console
    from fer_tune.search.spaces.published import reported_accuracy, shipped_published

    table = ConsoleTable(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)  # for `published show` and `run`: never cut
    for name in ("dataset", "backbone", "reported", "left open"):
        table.add_column(name, overflow="fold")
    for space, entry in shipped_published():
        reported = reported_accuracy(entry) or "none"
        table.add_row(entry.name, entry.dataset, space.backbone, reported, _left_open(entry))
    table_console().print(table)


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="A name of `fer-tune published list`.")]) -> None:
    """Show a published configuration: every setting, where each value is from, and all that its paper reports."""
    from analysis.published.shown import print_entry
    from fer_tune.console_table import table_console
    from fer_tune.search.spaces.published import as_published, find_published

    space, entry = find_published(name)
    print_entry(entry, as_published(space, entry), table_console())


@app.command("run")
@made_from(run_published, arguments=("names",))
def run(given: dict[str, Any]) -> None:
    failed = run_published(**given)["error"].notna().any()
    if failed:
        raise typer.Exit(1)


def _left_open(entry: Published) -> str:
    """Return ``9 settings, network``: how much of an entry is not from its paper."""
    from fer_tune.search.spaces.entries import TOPICS

    settings = sum(field not in TOPICS for field in entry.chosen)
    topics = [topic for topic in TOPICS if topic in entry.chosen]
    return ", ".join([amount(settings, "setting"), *topics])
