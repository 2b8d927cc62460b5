"""`fer-tune export`: a trained model for use elsewhere."""

from __future__ import annotations

from pathlib import Path

import typer

from fer_tune.cli.refit import RUN
from fer_tune.cli.stored import stored


@stored
def command(
    run: Path = RUN,
    kind: str = typer.Option("safetensors", "--format", help="safetensors or onnx (needs the extra `onnx`)."),
    out: Path | None = typer.Option(None, "--out", help="Folder to write to. (default: RUN/export)", metavar="DIR"),
    config: str | None = typer.Option(None, "--config", help="A refitted configuration. (default: the winner)"),
    seed: int | None = typer.Option(None, "--seed", help="One of its seeds. (default: the best on validation)"),
) -> None:
    """Write one model of RUN's winner, with its pre-processing; what is written is read back and checked."""
    from rich.console import Console

    from analysis import load_run
    from analysis.use.export import export
    from analysis.use.predicting import network

    loaded = load_run(run)
    models = network(loaded, config, seed)
    number = models.best_seed()
    target = out or loaded.folder.path / "export"
    difference = export(models, number, target, kind)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{models.config_id}, seed {models.seeds[number]}, trained on {models.trained_on}", markup=False)
    console.print(f"read back, its outputs differ by at most {difference:.1g} from PyTorch's")
    console.print(f"written: {target / f'model.{kind}'} and preprocessing.json", markup=False)
