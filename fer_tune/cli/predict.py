"""`fer-tune predict`: what the models of a run see in images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from analysis.actions.predict import predict
from fer_tune.amounts import amount
from fer_tune.cli.parts.shell import command as made_from

if TYPE_CHECKING:
    import pandas as pd

    from fer_tune.console_table import ConsoleTable

_SHOWN = 50  # images: a terminal's scroll, no more; --out has all


@made_from(predict, arguments=("source",))
def command(given: dict[str, Any]) -> None:
    from analysis import load_run
    from fer_tune.console_table import table_console

    run, out = load_run(given.pop("run")), given.get("out")
    frame = run.predict(**given)
    console = table_console(soft_wrap=True)
    console.print(_table(frame.head(_SHOWN)))
    if len(frame) > _SHOWN:
        rest = f"{amount(len(frame) - _SHOWN, 'more image')}"
        console.print(f"{rest} in {out}" if out else f"{rest}; write all with --out FILE.csv", markup=False)
    elif out is not None:
        console.print(f"written: {out}", markup=False)
    if "label" in frame.columns:
        from analysis.statistics.uncertainty.intervals import wilson
        from fer_tune.data.prepared.card import read_card

        found = wilson(int((frame["label"] == frame["top_1"]).sum()), len(frame))
        interval = f"95 % interval {100 * found.low:.1f} to {100 * found.high:.1f}"
        part = ""
        if read_card(Path(given["source"])).content_hash == run.settings.dataset.content_hash:
            part = "; these images played a part in training or choosing"
        console.print(f"right: {100 * found.estimate:.1f} % of {amount(len(frame), 'image')} ({interval}{part})")
    console.print(f"({frame.attrs['models']})", markup=False)
    if unreadable := frame.attrs["unreadable"]:
        console.print(f"{amount(len(unreadable), 'image')} could not be read, the others are predicted:", markup=False)
        for source, reason in unreadable.items():
            console.print(f"  {source}: {reason}", markup=False)
        raise typer.Exit(1)


def _table(frame: pd.DataFrame) -> ConsoleTable:
    from rich.box import SIMPLE_HEAD

    from fer_tune.console_table import ConsoleTable

    table = ConsoleTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("image", no_wrap=True)
    known = "label" in frame.columns
    if known:
        table.add_column("label")
    table.add_column("prediction")
    places = [name.removeprefix("top_") for name in frame.columns if name.startswith("top_")]
    for row in frame.to_dict("records"):
        told = ", ".join(f"{row[f'top_{n}']} {100 * row[f'probability_{n}']:.1f} %" for n in places)
        table.add_row(Path(row["source"]).name, *([row["label"]] if known else []), told)
    return table
