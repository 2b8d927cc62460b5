"""What the models of a run see in images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from typing_extensions import Doc

from fer_tune.door import door

if TYPE_CHECKING:
    import pandas as pd

    from analysis.run import RunRecord


@door
def predict(
    run: RunRecord,
    source: Annotated[
        Any,
        Doc("An image, a folder or a table of images, or a prepared dataset; in Python also uint8 arrays in memory."),
    ],
    *,
    top_k: Annotated[int, Doc("Classes to name for each image."), Ge(1)] = 3,
    config: Annotated[str | None, Doc("A refitted configuration. (default: the winner)")] = None,
    seed: Annotated[int | None, Doc("One of its seeds. (default: the mean of all)")] = None,
    views: Annotated[Literal["none", "flip", "ten_crop"], Doc("Average over views of each image.")] = "none",
    split: Annotated[str, Doc("Of a prepared dataset: train or val.")] = "val",
    device: Annotated[str | None, Doc("cpu or cuda. (default: a GPU if there is one)")] = None,
) -> pd.DataFrame:
    """Predict the emotion in each image of SOURCE, with the refitted winner of RUN (the mean of its seeds).

    Images are resized as the dataset was; faces are not looked for, so crop them as the dataset's are.

    Args:
        source: a path, several, or images in memory: (N, H, W) or (N, H, W, C) uint8, or a list of (H, W) or
            (H, W, C) ones, which may differ in size.

    Returns:
        A row per image: ``source``, ``label`` where it is known, ``top_1`` and ``probability_1`` to ``top_k``, and
        ``p_<class>`` for every class.  ``attrs["models"]`` of the frame names the models.

    Raises:
        UserError: nothing is refitted, or an image cannot be read.
    """
    import pandas as pd
    import torch

    from analysis.use.predicting import in_memory, network, prediction_table, read_source
    from fer_tune.data.prepared.card import CARD_FILE
    from fer_tune.storage.runs import kept

    with kept(run.folder):
        models = network(run, config, seed)
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    classes = models.card.classes
    labelled = isinstance(source, str | Path) and (Path(source) / CARD_FILE).is_file()
    parts = (
        read_source(Path(source), models.card, split)
        if isinstance(source, str | Path)
        else in_memory(source, models.card)
    )
    frames = []
    for images, probabilities in models.predict(parts, chosen, views):
        labels = [classes[label] for label in images.labels] if labelled else None
        frames.append(prediction_table(images, probabilities, classes, min(top_k, len(classes)), labels=labels))
    frame = pd.concat(frames, ignore_index=True)
    told = f"{models.config_id}, mean of {len(models.seeds)} seeds" if len(models.seeds) > 1 else models.config_id
    frame.attrs["models"] = f"{told}, trained on {models.trained_on}"
    return frame
