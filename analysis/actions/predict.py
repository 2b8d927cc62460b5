"""What the models of a run see in images."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from typing_extensions import Doc

from fer_tune.amounts import amount
from fer_tune.door import Interrupted, door
from fer_tune.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.run import RunRecord

_LISTED = 20  # broken images that a message names


@door
def predict(
    run: RunRecord,
    source: Annotated[
        Any,
        Doc("An image, a folder or a table of images, or a prepared dataset; in Python also uint8 arrays in memory."),
    ],
    *,
    top_k: Annotated[int, Doc("Classes to name for each image."), Ge(1)] = 3,
    use: Annotated[
        Literal["single", "ensemble", "chosen"],
        Doc("The best seed on validation, the mean of all seeds, or what validation chose before the test."),
    ] = "ensemble",
    config: Annotated[str | None, Doc("A refitted configuration. (default: the winner)")] = None,
    seed: Annotated[int | None, Doc("One of its seeds. (default: the mean of all)")] = None,
    views: Annotated[Literal["none", "flip", "ten_crop"], Doc("Average over views of each image.")] = "none",
    temperature: Annotated[
        Literal["fitted", "none"],
        Doc("Scale probabilities as `fer-tune test` fitted it on validation (the image alone), or leave them."),
    ] = "fitted",
    split: Annotated[str, Doc("Of a prepared dataset: train or val.")] = "val",
    device: Annotated[str | None, Doc("cpu or cuda. (default: a GPU if there is one)")] = None,
    out: Annotated[
        str | Path | None, Doc("Write every probability to this .csv, .parquet or .md, part by part as it comes.")
    ] = None,
) -> pd.DataFrame:
    """Predict the emotion in each image of SOURCE, with the refitted winner of RUN or what was chosen.

    Images are resized as the dataset was; faces are not looked for, so crop them as the dataset's are.

    Args:
        source: a path, several, or images in memory: (N, H, W) or (N, H, W, C) uint8, or a list of (H, W) or
            (H, W, C) ones, which may differ in size.

    Returns:
        A row per image: ``source``, ``label`` where it is known, ``top_1`` and ``probability_1`` to ``top_k``, and
        ``p_<class>`` for every class.  ``attrs["models"]`` of the frame names the models, ``attrs["unreadable"]`` has
        image -> reason for those that could not be read.

    Raises:
        UserError: nothing is refitted, no image can be read, or ``out`` cannot be written.
        Interrupted: Ctrl-C; what is computed is in ``out``.
    """
    import pandas as pd
    import torch

    from analysis.use.growing import Growing
    from analysis.use.predicting import prediction_table, used
    from analysis.use.progress import Progress
    from analysis.use.sources import in_memory, kinds, read_source
    from fer_tune.data.prepared.card import CARD_FILE, permitted
    from fer_tune.storage.runs import kept

    growing = None if out is None else Growing(Path(out))
    with kept(run.folder):
        models = used(run, use, config, seed, views)
    scaled = temperature == "fitted" and views == "none" and models.temperatures is not None
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    classes = models.card.classes
    is_path = isinstance(source, str | Path)
    with permitted(Path(source)) if is_path else contextlib.nullcontext():
        labelled = is_path and (Path(source) / CARD_FILE).is_file()
        images = read_source(Path(source), models.card, split) if is_path else in_memory(source, models.card)
    frames: list[pd.DataFrame] = []
    with growing or contextlib.nullcontext(), Progress(images.total) as progress:
        try:
            for part, probabilities in models.predict(images, chosen, views, scaled=scaled):
                labels = [classes[label] for label in part.labels] if labelled else None
                frames.append(prediction_table(part, probabilities, classes, min(top_k, len(classes)), labels=labels))
                if growing is not None:
                    growing.add(frames[-1])
                progress.show(sum(map(len, frames)) + len(images.faults))
        except KeyboardInterrupt:
            done = f"stopped; predicted: {amount(sum(map(len, frames)), 'image')}"
            raise Interrupted(f"{done}, in {out}" if out else f"{done}; --out FILE.csv keeps them", run) from None
    if not frames:
        listed = "".join(f"\n  {fault.source}: {fault.reason}" for fault in images.faults[:_LISTED])
        raise UserError(f"{source}: cannot be read as an image: nothing in it can; {kinds()}{listed}")
    frame = pd.concat(frames, ignore_index=True)
    fitted = ", ".join(f"{each:.2f}" for each in models.temperatures or []) if scaled else ""
    word = "temperatures" if models.temperatures and len(models.temperatures) > 1 else "temperature"
    fitted = f"; probabilities scaled with the {word} {fitted}, fitted on validation" if fitted else ""
    frame.attrs["models"] = f"{models.words}{fitted}"
    frame.attrs["unreadable"] = {fault.source: fault.reason for fault in images.faults}
    return frame
