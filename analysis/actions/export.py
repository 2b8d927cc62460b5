"""A trained model of a run for use elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typing_extensions import Doc

from fer_tune.door import door

if TYPE_CHECKING:
    from analysis.run import RunRecord


@dataclass(frozen=True)
class Exported:
    """What `export` has written."""

    file: Path
    config_id: str
    seed: int
    trained_on: str
    difference: float  # the largest of a logit between the file, read back, and the model


@door
def export(
    run: RunRecord,
    *,
    format: Annotated[
        Literal["safetensors", "onnx"], Doc("What is written; onnx needs the extra `onnx`.")
    ] = "safetensors",
    out: Annotated[str | Path | None, Doc("Folder to write to. (default: RUN/export)")] = None,
    config: Annotated[str | None, Doc("A refitted configuration. (default: the winner)")] = None,
    seed: Annotated[int | None, Doc("One of its seeds. (default: the best on validation)")] = None,
) -> Exported:
    """Write one model of RUN's winner, with its pre-processing; what is written is read back and checked.

    Raises:
        UserError: nothing is refitted, there is no such configuration or seed, or ``onnx`` is not installed.
    """
    from analysis.use.export import export as write
    from analysis.use.predicting import network
    from fer_tune.storage.runs import kept

    with kept(run.folder):
        models = network(run, config, seed)
        number = models.best_seed()
        folder = Path(out) if out is not None else run.folder.path / "export"
        difference = write(models, number, folder, format)
    return Exported(folder / f"model.{format}", models.config_id, models.seeds[number], models.trained_on, difference)
