"""`fer-tune published`: list the configurations that papers picked by hand, and train one as published."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from fer_tune.config import TrialConfig
    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.run_folder import Published
    from fer_tune.training.loop import Outcome

app = typer.Typer(help="List the configurations that papers picked by hand, and train one.", no_args_is_help=True)


@app.command("list")
def list_published() -> None:
    """List every published configuration: its dataset, backbone, reported accuracy, and what its paper leaves open."""
    from rich.console import Console
    from rich.table import Table

    from fer_tune.search.spaces.published import reported_accuracy, shipped_published, system

    table = Table("name", "system", "dataset", "backbone", "reported", "left open", box=None, pad_edge=False)
    for space, entry in shipped_published():
        reported = reported_accuracy(entry) or "none"
        table.add_row(entry.name, system(entry), entry.dataset, space.backbone, reported, _left_open(entry))
    Console(highlight=False).print(table)


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="A name of `fer-tune published list`.")]) -> None:
    """Show a published configuration: every setting, where each value is from, and all that its paper reports."""
    from rich.console import Console

    from fer_tune.search.spaces.published import as_published, find_published

    space, entry = find_published(name)
    _print_entry(entry, as_published(space, entry), Console(highlight=False))


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="A name of `fer-tune published list`.")],
    data: Annotated[Path, typer.Option(help="A prepared dataset (from `fer-tune data prepare`).")],
    epochs: Annotated[int | None, typer.Option(min=1, help="Most epochs, instead of the published ones.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoint and result; runs/published/NAME if left out.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Start from this file, or the best weights of this run folder; a path or a URI."),
    ] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option("--pretrained/--no-pretrained", help="ImageNet weights, or none; as published if left out."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the initial weights, the batches and the augmentation.")] = 0,
) -> None:
    """Train one configuration as published, in this process and without a search; the test split is not read.

    The same command again goes on where it was stopped.
    """
    import torch
    from rich.console import Console

    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.errors import UserError
    from fer_tune.search.spaces.published import as_published, find_published
    from fer_tune.training.loop import train
    from fer_tune.training.starting_weights import lasting

    space, entry = find_published(name)
    start = None if weights is None else lasting(weights, space.backbone)
    config = as_published(space, entry, epochs=epochs, weights=start, pretrained=pretrained, seed=seed)
    dataset = PreparedDataset.open(data)
    dataset.verify()
    folder = (out or Path("runs/published") / entry.name.replace("/", "-")).expanduser()
    console = Console(highlight=False, soft_wrap=True)
    _print_entry(entry, config, console)
    if dataset.card.name != entry.dataset:
        console.print(f"published for {entry.dataset}; this is {dataset.card.name}, so its figures are not comparable")
    _check_weights(config, dataset, console)
    _claim(folder, entry, config, dataset)
    console.print(f"\n{'epoch':>5} {'train loss':>10} {'train acc':>10} {'val loss':>9} {'val acc':>9} {'seconds':>8}")
    try:
        outcome = train(config, dataset, folder, on_epoch=lambda metrics, _: _print_epoch(metrics, console))
    except KeyboardInterrupt:
        again = shlex.join(["--data", str(data), "--out", str(folder)])
        console.print(f"stopped; go on with the same command: fer-tune published run {entry.name} {again}")
        raise typer.Exit(130) from None
    except torch.OutOfMemoryError as error:
        side = config.image_size or dataset.card.height
        raise UserError(
            f"{entry.name}: out of memory at batch_size {config.batch_size}, images of {side} pixels ({error}); a "
            "machine with more memory is needed: another batch size would be another experiment"
        ) from None
    _conclude(outcome, entry, dataset, folder, console)


def _left_open(entry: Published) -> str:
    """Return ``9 settings, network``: how much of an entry is not from its paper."""
    from fer_tune.search.spaces.entries import TOPICS

    settings = sum(field not in TOPICS for field in entry.chosen)
    topics = [topic for topic in TOPICS if topic in entry.chosen]
    return ", ".join([f"{settings} setting{'' if settings == 1 else 's'}", *topics])


def _print_entry(entry: Published, config: TrialConfig, console: Console) -> None:
    from rich.table import Table

    from fer_tune.search.spaces.entries import TOPICS
    from fer_tune.search.spaces.parameter import number
    from fer_tune.search.spaces.published import reported_figures

    console.print(f"{entry.name}: {entry.source}")
    table = Table("setting", "value", "left open by the paper", box=None, pad_edge=False)
    settings = config.model_dump(exclude_defaults=True) | {field: getattr(config, field) for field in entry.config}
    for field, value in settings.items():
        table.add_row(field, number(value), entry.chosen.get(field, ""))
    console.print(table)
    for topic in TOPICS:
        if topic in entry.chosen:
            console.print(f"{topic}: {entry.chosen[topic]}")
    console.print(f"reported: {reported_figures(entry)}")


def _check_weights(config: TrialConfig, dataset: PreparedDataset, console: Console) -> None:
    """Build the network once, before anything is written: what it starts from is there, and how much of it fits."""
    from fer_tune.models import load_weights
    from fer_tune.training.evaluation import build_model
    from fer_tune.training.starting_weights import on_this_machine

    if config.weights is None:
        build_model(config, dataset.card)
        if config.freeze_depth and not config.pretrained:
            console.print(f"note: {config.freeze_depth} stages are frozen at random weights, so they learn nothing")
        return
    fresh = config.model_copy(update={"weights": None, "pretrained": False})
    file = on_this_machine(config.weights, config.backbone)
    report = load_weights(build_model(fresh, dataset.card), file, config.backbone, dataset.card.classes)
    console.print(str(report), markup=False)


def _claim(folder: Path, entry: Published, config: TrialConfig, dataset: PreparedDataset) -> None:
    """Write what this folder is a run of; refuse one that holds another run."""
    import json

    from fer_tune.errors import UserError
    from fer_tune.files import write_json

    record = {
        "name": entry.name,
        "dataset": dataset.card.name,
        "content_hash": dataset.card.content_hash,
        "config": config.model_dump(mode="json"),
    }
    file = folder / "published.json"
    if file.is_file():
        if json.loads(file.read_text(encoding="utf-8")) != record:
            raise UserError(f"{folder}: holds a run with other settings or data; choose another --out, or remove it")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not a run of `fer-tune published run`; choose another --out")
    try:
        write_json(record, file)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None


def _print_epoch(metrics: dict[str, Any], console: Console) -> None:
    console.print(
        f"{metrics['epoch']:5d} {metrics['train_loss']:10.4f} {100 * metrics['train_accuracy']:8.2f} % "
        f"{metrics['val_loss']:9.4f} {100 * metrics['val_accuracy']:7.2f} % {metrics['seconds']:8.1f}"
    )


def _conclude(outcome: Outcome, entry: Published, dataset: PreparedDataset, folder: Path, console: Console) -> None:
    from analysis.statistics.intervals import wilson
    from fer_tune.files import write_json
    from fer_tune.search.spaces.published import reported_accuracy

    images = len(dataset.val())
    interval = wilson(round(outcome.best_val_accuracy * images), images)
    write_json(
        {
            "name": entry.name,
            "epochs": outcome.epochs,
            "best_epoch": outcome.best_epoch,
            "best_val_accuracy": outcome.best_val_accuracy,
            "interval": [interval.low, interval.high],
            "seconds": outcome.seconds,
            "reason": outcome.reason,
            "reported": entry.reported,
        },
        folder / "result.json",
    )
    console.print(
        f"\n{outcome.reason}\nbest validation accuracy: {100 * outcome.best_val_accuracy:.2f} % (95 % interval "
        f"{100 * interval.low:.1f} to {100 * interval.high:.1f}, one seed, {images} images), epoch "
        f"{outcome.best_epoch} of {outcome.epochs}, {outcome.seconds:.0f} s\n"
        f"reported by its paper: {reported_accuracy(entry) or 'none'}\n"
        f"weights: {folder / 'best.safetensors'}"
    )
