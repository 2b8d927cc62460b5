"""``fer-tune data``: prepare a raw dataset, draw the embedded one, or show a prepared one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fer_tune.data.prepared.card import DatasetCard

app = typer.Typer(help="Prepare datasets.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", help="Folder for the prepared dataset; must not exist, or be empty.")]


@app.command("prepare")
def prepare(
    path: Annotated[
        Path,
        typer.Argument(
            help="Raw dataset, a folder, file, zip or tar: FER2013, FER+, RAF-DB, AffectNet, CK+, JAFFE, KDEF, ExpW, "
            "FERG-DB, any table (csv, tsv, Parquet) or any tree of images with SPLIT, PERSON and CLASS folders."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the prepared dataset; must not exist, or be empty.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be read, dropped and ignored, and write nothing.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="Name of the dataset in results; the format's own if left out.")
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Name of the format, such as kdef, folders or table; recognised if left out, all listed if unknown.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            help="What a table's columns hold, if their names do not tell: label=emotion,path=file; also image, "
            "pixels, split, group, box_xywh, box_xyxy."
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(help="Rename, merge or drop classes: joy=happy,contempt= (nothing drops); 0=angry names numbers."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Where nothing is published: random images, or leave a character (group, person) out; the latter "
            "where there are any. If said, character divides published parts anew."
        ),
    ] = None,
    test_characters: Annotated[
        list[str] | None, typer.Option(help="Characters (groups) of the test; drawn if left out. May be repeated.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Regular expression that finds an image's group (person) in its path, if the layout does not tell; no "
            "group crosses splits."
        ),
    ] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Share of all for the test where nothing is published; 0.2 if left out.")
    ] = None,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates", help="Keep training images that also stand in val or test.")
    ] = False,
    drop_near_duplicates: Annotated[
        bool, typer.Option("--drop-near-duplicates", help="Drop near-duplicates as duplicates are dropped.")
    ] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out what cannot be read, instead of stopping.")
    ] = False,
    val_fraction: Annotated[
        float | None,
        typer.Option(help="Share of train for validation where there is none; 0.1, or 0.2 if nothing is published."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which images become the validation and test parts that are missing.")] = 0,
    size: Annotated[int | None, typer.Option(help="Resize all images to this many pixels a side, antialiased.")] = None,
    fit: Annotated[
        str, typer.Option(help="How images that are not square come to --size: pad (black), crop (middle) or stretch.")
    ] = "pad",
    channels: Annotated[int | None, typer.Option(help="Make all images grey (1) or RGB (3).")] = None,
) -> None:
    """Prepare a raw dataset: recognise it, split it, clean it, write it as memory-mapped arrays."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fer_tune.data.preparing.classes import parsed_classes
    from fer_tune.data.preparing.prepare import prepare as run
    from fer_tune.data.preparing.readers.columns import parsed
    from fer_tune.data.preparing.splits import SplitOptions

    characters = tuple(name.strip() for text in test_characters or () for name in text.split(","))
    splits = SplitOptions(split, characters, group, test_fraction, val_fraction, seed)
    shown = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*shown, transient=True, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def advance(stage: str, done: int, total: int) -> None:
            if done % 100 == 0 or done == total or stage != "reading":
                bar.update(task, description=stage, completed=done, total=total)

        card = run(
            path,
            out,
            name=name,
            format_name=format_name,
            columns=parsed(columns or ()),
            classes=parsed_classes(classes or ()),
            splits=splits,
            keep_duplicates=keep_duplicates,
            drop_near_duplicates=drop_near_duplicates,
            skip_unreadable=skip_unreadable,
            size=size,
            fit=fit,
            channels=channels,
            dry_run=dry_run,
            progress=advance,
        )
    _print_written(card, None if dry_run else out)


@app.command("synthesize")
def synthesize(
    out: Out,
    size: Annotated[int, typer.Option(help="Images in all, over the three splits.")] = 6000,
    seed: Annotated[int, typer.Option(help="The same seed draws the same faces.")] = 0,
) -> None:
    """Draw the embedded dataset: cartoon faces with seven expressions, 48x48 grey."""
    from fer_tune.data.synthetic.synthesize import synthesize as run

    _print_written(run(out, size=size, seed=seed), out)


@app.command("show")
def show(
    path: Annotated[str, typer.Argument(help="A prepared dataset: folder or URI.")],
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


def _print_written(card: DatasetCard, out: Path | None) -> None:
    _print_card(card)
    typer.echo("nothing is written (--dry-run)" if out is None else f"written to {out}")


def _print_card(card: DatasetCard) -> None:
    """Print what a prepared dataset holds and what was dropped from it."""
    from rich.console import Console
    from rich.table import Table

    from fer_tune.data.preparing.summary import hygiene_sentences

    console = Console(highlight=False)
    colour = "grey" if card.channels == 1 else "RGB"
    table = Table(title=f"{card.name}: {card.width}x{card.height} {colour}", title_justify="left")
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
