"""``fer-tune data``: prepare a raw dataset, draw the embedded one, or show a prepared one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_tune import api
from fer_tune.cli.parts.groups import group
from fer_tune.cli.parts.shell import command as made_from
from fer_tune.data.prepared.card import DatasetCard

if TYPE_CHECKING:
    from fer_tune.data.preparing.folding import Folded

app = group(help="Prepare datasets.")


@app.command("prepare")
@made_from(api.prepare, arguments=("source",))
def prepare(given: dict[str, Any]) -> None:
    found = api.prepare(**given)
    out = None if given.get("dry_run") else given["out"]
    if isinstance(found, DatasetCard):
        _print_written(found, out)
    else:
        _print_folds(found, out)


@app.command("synthesize")
@made_from(api.synthesize)
def synthesize(given: dict[str, Any]) -> None:
    _print_written(api.synthesize(**given), given["out"])


@app.command("show")
def show(
    path: Annotated[str, typer.Argument(help="A prepared dataset: folder or URI.", metavar="DATASET")],
    out: Annotated[
        Path | None, typer.Option("--out", help="PNG file to draw; NAME-samples.png or NAME-augmented.png if left out.")
    ] = None,
    per_class: Annotated[int, typer.Option(min=1, max=100, help="Samples per class.")] = 8,
    augmentation: Annotated[
        float | None, typer.Option(help="Draw the same faces augmented up to this strength, instead of samples.")
    ] = None,
    transforms: Annotated[
        str | None, typer.Option(help="What --augmentation does, such as flip+rotation; all if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which faces are drawn.")] = 0,
) -> None:
    """Print what a prepared dataset holds, and draw samples of its training images as a picture."""
    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.data.sheet import augmentation_sheet, samples_sheet, save
    from fer_tune.errors import UserError

    if transforms is not None and augmentation is None:
        raise UserError("--transforms: says what --augmentation does; give that too")
    chosen = "all" if transforms is None else _checked(transforms)
    data = PreparedDataset.open(path)
    if augmentation is None:
        sheet = samples_sheet(data.train(), data.card, per_class=per_class, seed=seed)
    else:
        sheet = augmentation_sheet(data.train(), data.card, augmentation, transforms=chosen, seed=seed)
    plain = re.sub(r"[^\w.-]", "_", data.card.name)
    file = out or Path(f"{plain}-{'samples' if augmentation is None else 'augmented'}.png")
    save(sheet, file)
    _print_card(data.card)
    typer.echo(f"drawn in {file}")


def _checked(transforms: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from fer_tune.config import Transforms
    from fer_tune.errors import UserError

    try:
        checked: str = TypeAdapter(Transforms).validate_python(transforms)
    except ValidationError as error:
        raise UserError(f"--transforms {transforms}: {error.errors()[0]['msg']}") from None
    return checked


def _print_written(card: DatasetCard, out: str | None) -> None:
    _print_card(card)
    _print_place(out)


def _print_card(card: DatasetCard) -> None:
    """Print what a prepared dataset holds and what was dropped from it."""
    from fer_tune.console_table import ConsoleTable, table_console
    from fer_tune.data.preparing.summary import hygiene_sentences

    console = table_console()
    colour = "grey" if card.channels == 1 else "RGB"
    table = ConsoleTable(title=f"{card.name}: {card.width}x{card.height} {colour}", title_justify="left")
    table.add_column("class")
    for split in card.counts:
        table.add_column(split, justify="right")
    for label in card.classes:
        table.add_row(label, *(f"{card.counts[split][label]:,}" for split in card.counts))
    table.add_section()
    table.add_row("all", *(f"{card.images(split):,}" for split in card.counts))
    console.print(table)
    for sentence in hygiene_sentences(card):
        console.print(sentence, markup=False, soft_wrap=True)


def _print_folds(found: Folded, out: str | None) -> None:
    """Print who is held out in each fold, and what is said of the folds' datasets."""
    from fer_tune.console_table import ConsoleTable, table_console
    from fer_tune.data.preparing.summary import hygiene_sentences

    console = table_console()
    table = ConsoleTable(title=f"{found.card.name}: {found.card.people:,} people in {len(found.cards)} folds")
    table.add_column("fold")
    for name in ("people held out", "train", "val", "test"):
        table.add_column(name, justify="right")
    for fold, card in zip(found.card.folds, found.cards, strict=True):
        table.add_row(fold.name, f"{fold.people:,}", *(f"{card.images(split):,}" for split in card.counts))
    console.print(table)
    said: dict[str, list[str]] = {}
    for fold, card in zip(found.card.folds, found.cards, strict=True):
        for sentence in hygiene_sentences(card):
            said.setdefault(sentence, []).append(fold.name)
    for sentence, folds in said.items():
        which = "" if len(folds) == len(found.cards) else f"{', '.join(folds)}: "
        console.print(f"{which}{sentence}", markup=False, soft_wrap=True)
    _print_place(out)


def _print_place(out: str | None) -> None:
    """Print where the dataset is, and what is done with one; a small network is named, which any machine trains."""
    if out is None:
        typer.echo("nothing is written (--dry-run)")
        return
    typer.echo(f"written to {out}\nnext: fer-tune search --data {shlex.quote(out)} --backbone cnn_residual")
