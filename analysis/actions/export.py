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
    config_id: str  # of the model; of the first of several
    seed: int
    trained_on: str
    models: str  # which ones, in words
    score: str  # what the held-out split told of just these, in words
    difference: float  # the largest of a logit between the file, read back, and the model


@door
def export(
    run: RunRecord,
    *,
    format: Annotated[
        Literal["safetensors", "onnx"], Doc("What is written; onnx needs the extra `onnx`.")
    ] = "safetensors",
    out: Annotated[str | Path | None, Doc("Folder to write to. (default: RUN/export)")] = None,
    use: Annotated[
        Literal["single", "ensemble", "chosen"],
        Doc("The best seed on validation; or as one module, the mean of all seeds, or what validation chose."),
    ] = "single",
    config: Annotated[str | None, Doc("A refitted configuration. (default: the winner)")] = None,
    seed: Annotated[int | None, Doc("One of its seeds. (default: the best on validation)")] = None,
) -> Exported:
    """Write one model of RUN's winner, or several as one, with its pre-processing; it is read back and checked.

    Raises:
        UserError: nothing is refitted, there is no such configuration or seed, or ``onnx`` is not installed.
    """
    from analysis.report.telling.exported import score_of
    from analysis.use.export import export as write
    from analysis.use.predicting import used
    from fer_tune.storage.runs import check_writes, kept

    if out is None:
        check_writes(run.folder)
    with kept(run.folder):
        models = used(run, use, config, seed)
        folder = Path(out) if out is not None else run.folder.path / "export"
        difference = write(models, folder, format)
    name, number = models.config_ids[0], models.seeds[0]
    score = score_of(run, models.use, name, number, models.trained_on)
    file = folder / f"model.{format}"
    return Exported(file, name, number, models.trained_on, models.words, score, difference)
