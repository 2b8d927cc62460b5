"""`fer-tune export`: a trained model for use elsewhere."""

from __future__ import annotations

from typing import Any

from analysis.actions.export import export
from fer_tune.cli.parts.shell import command as made_from


@made_from(export)
def command(given: dict[str, Any]) -> None:
    from rich.console import Console

    from analysis import load_run

    written = load_run(given.pop("run")).export(**given)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{written.models}: {written.score}", markup=False)
    console.print(f"read back, its outputs differ by at most {written.difference:.1g} from PyTorch's")
    console.print(f"written: {written.file} and preprocessing.json", markup=False)
