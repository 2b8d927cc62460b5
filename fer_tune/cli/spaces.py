"""`fer-tune spaces`: list, show, validate and copy search spaces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_tune.amounts import amount
from fer_tune.cli.parts.groups import group

if TYPE_CHECKING:
    from rich.console import Console

    from fer_tune.search.spaces.space import SearchSpace

app = group(help="List, show, validate and copy search spaces.")


@app.command("list")
def list_spaces() -> None:
    """List the search spaces that are shipped, one per backbone."""
    from fer_tune.console_table import ConsoleTable
    from fer_tune.search.spaces.loading import load_space, shipped_spaces

    table = ConsoleTable("backbone", box=None, pad_edge=False)
    table.add_column("searched", justify="right")
    table.add_column("published", justify="right")
    table.add_column("about", ratio=1)
    for name in shipped_spaces():
        space = load_space(name, against_model=False)  # the model libraries take seconds to import
        table.add_row(name, str(len(space.parameters)), str(len(space.published)), space.about)
    _console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A backbone of `fer-tune spaces list`, or a YAML file.")],
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print it as one YAML file, with what it extends.")] = False,
) -> None:
    """Show a search space with all it extends: ranges, fixed values, published ones, image sizes, and stages."""
    from fer_tune.search.spaces.loading import load_space

    space = load_space(name)
    if as_yaml:
        import yaml

        typer.echo(yaml.safe_dump(space.resolved(), sort_keys=False, allow_unicode=True, width=120).rstrip())
        return
    console = _console()
    console.print(f"{space.backbone}\n{space.about}".rstrip(), highlight=False)
    _print_settings(space, console)
    if space.published:
        _print_published(space, console)
    _print_known_good(space, console)
    _print_sizes(space, console)
    _print_stages(space.backbone, console)


@app.command("validate")
def validate(files: Annotated[list[str], typer.Argument(metavar="FILE...", help="YAML files, or backbones.")]) -> None:
    """Check search spaces; print every fault of every file, with its line, and exit with 2 if there is one."""
    from fer_tune.errors import UserError
    from fer_tune.search.spaces.loading import check_space

    faults: list[str] = []
    for file in files:
        try:
            found = check_space(file).faults.messages()
        except UserError as error:
            found = [str(error)]
        faults += found
        if not found:
            typer.echo(f"{file}: OK")
    if faults:
        count = amount(len(faults), "fault")
        raise UserError("\n".join([f"{count} in the search spaces", *faults]))


@app.command("copy")
def copy(
    name: Annotated[str, typer.Argument(help="A backbone of `fer-tune spaces list`.")],
    file: Annotated[Path | None, typer.Argument(help="Where to; NAME.yaml in this folder if left out.")] = None,
) -> None:
    """Copy a shipped search space to a file of your own, to change it there."""
    from fer_tune.errors import UserError
    from fer_tune.search.spaces.loading import shipped_text

    text = shipped_text(name)
    target = Path(f"{name}.yaml") if file is None else file.expanduser()
    if target.is_dir():
        target = target / f"{name}.yaml"
    try:
        with target.open("x", encoding="utf-8") as stream:  # "x": never over a file that is there
            stream.write(text)
    except FileExistsError:
        raise UserError(f"{target}: exists already; name another file, or remove it first") from None
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror}") from None
    typer.echo(
        f"{target}: a copy of the search space of {name}; what it extends stays where it is, and "
        f"`fer-tune spaces show {name} --yaml` prints all in one\nChange it, check it with `fer-tune spaces validate "
        f"{target}`, and search it with `fer-tune search --backbone {name} --space {target} --data ...`"
    )


@app.command("weights")
def weights(
    file: Annotated[str, typer.Argument(help="A weights file, or the folder or URI of a run.")],
    backbone: Annotated[str, typer.Option(help="Which network they are for.")],
) -> None:
    """Show, tensor by tensor, what of a weights file a backbone would start from, and what it would not take."""
    from fer_tune.console_table import ConsoleTable
    from fer_tune.models import create_model, load_weights
    from fer_tune.training.starting_weights import on_this_machine

    report = load_weights(create_model(backbone, num_classes=7, in_chans=3), on_this_machine(file, backbone), backbone)
    table = ConsoleTable("tensor", "shape", "in the file", box=None, pad_edge=False)
    for name, shape, origin in report.tensors():
        table.add_row(name, "x".join(map(str, shape)) or "1", origin)
    console = _console()
    console.print(table)
    console.print(f"\n{report}", markup=False)


def _console() -> Console:
    from fer_tune.console_table import table_console

    return table_console()


def _print_settings(space: SearchSpace, console: Console) -> None:
    from fer_tune.config import TrialConfig
    from fer_tune.console_table import ConsoleTable
    from fer_tune.search.spaces.parameter import number

    table = ConsoleTable("setting", "values", "only when", "meaning", box=None, pad_edge=False)
    for name, parameter in space.parameters.items():
        conditions = [f"{field} = {' or '.join(map(number, values))}" for field, values in parameter.when.items()]
        meaning = TrialConfig.model_fields[name].description or ""
        table.add_row(name, parameter.describe(), ", ".join(conditions), meaning, style="bold")
    for name, value in space.fixed.items():
        table.add_row(name, f"{number(value)} (fixed)", "", TrialConfig.model_fields[name].description or "")
    console.print()
    console.print(table)


def _print_published(space: SearchSpace, console: Console) -> None:
    from fer_tune.console_table import ConsoleTable
    from fer_tune.search.spaces.parameter import number
    from fer_tune.search.spaces.published import reported_figures

    table = ConsoleTable("published", "dataset", "reported", "outside this space", box=None, pad_edge=False)
    for entry in space.published:
        outside = space.outside(space.settings(entry.config))
        table.add_row(
            entry.name,
            entry.dataset,
            reported_figures(entry),
            ", ".join(f"{name} {number(value)}" for name, value in outside.items()) or "nothing",
        )
    console.print()
    console.print(table)


def _print_known_good(space: SearchSpace, console: Console) -> None:
    from fer_tune.console_table import ConsoleTable
    from fer_tune.search.spaces.parameter import number

    fit = {entry.name: entry.config for entry in space.fitting()}
    if not fit:
        return
    table = ConsoleTable("known good", "from", "tried before anything is drawn", box=None, pad_edge=False)
    for entry in space.known_good:
        if entry.name in fit:
            settings = ", ".join(f"{name} {number(value)}" for name, value in fit[entry.name].items())
            table.add_row(entry.name, entry.source, settings)
    console.print()
    console.print(table)


def _print_sizes(space: SearchSpace, console: Console) -> None:
    """Print what is left of images of each size, and the memory of a step at the ends of the batch size."""
    from fer_tune.console_table import ConsoleTable
    from fer_tune.models.image_sizes import sight
    from fer_tune.models.memory import step_memory

    batches = _values(space, "batch_size") or [64]
    ends = sorted({min(batches), max(batches)})
    table = ConsoleTable("image size", "left in the last features", box=None, pad_edge=False)
    for batch in ends:
        table.add_column(f"memory, {batch} images", justify="right")
    for size in _values(space, "image_size") or [48, 64, 100]:  # those of FER2013, a common one, and RAF-DB
        seen = sight(space.backbone, size)
        if seen.problem:
            table.add_row(str(size), seen.problem)
            continue
        memory = step_memory(space.backbone, size)
        told = [f"{memory.of_batch(batch) / 2**30:.2f} GiB" for batch in ends]
        table.add_row(str(size), f"{seen.cells}x{seen.cells} cells" if seen.cells else "", *told)
    console.print()
    console.print(table)
    console.print("memory: weights, gradients, optimiser and activations of a training step in float32, nothing frozen")


def _values(space: SearchSpace, field: str) -> list[int]:
    """Return the numbers that a space gives a field, ascending."""
    given = space.parameters[field].values if field in space.parameters else [space.fixed.get(field)]
    return sorted(value for value in given if value is not None)


def _print_stages(backbone: str, console: Console) -> None:
    from fer_tune.console_table import ConsoleTable
    from fer_tune.models.stages import backbone_stages

    table = ConsoleTable("freeze depth", "freezes also", box=None, pad_edge=False)
    table.add_column("parameters", justify="right")
    table.add_column("trained then", justify="right")
    stages = backbone_stages(backbone)
    left = _parameters(backbone)
    table.add_row("0", "nothing: everything is trained", "", f"{left:,}")
    for depth, stage in enumerate(stages, start=1):
        left -= stage.count
        table.add_row(str(depth), stage.name, f"{stage.count:,}", f"{left:,}")
    console.print()
    console.print(table)


def _parameters(backbone: str) -> int:
    """Return how many parameters the backbone has with 7 classes and 3 channels."""
    import torch

    from fer_tune.models import create_model

    with torch.device("meta"):
        model = create_model(backbone, num_classes=7, in_chans=3)
    return sum(parameter.numel() for parameter in model.parameters())
