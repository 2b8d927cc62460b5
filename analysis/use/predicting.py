"""Use what a run has trained: the models of one configuration, and what they predict for any images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.heldout.image_list import ImageList
from analysis.refits.plan import seed_config
from analysis.refits.selection import Chosen, select_models
from analysis.run import RunRecord
from analysis.run.cards import dataset_card
from fer_tune.config import TrialConfig
from fer_tune.data.prepared.card import CARD_FILE, DatasetCard
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.fitting import fitted
from fer_tune.data.preparing.readers.base import UnreadableError
from fer_tune.data.preparing.readers.tables.files import SUFFIXES as TABLES
from fer_tune.data.preparing.readers.tables.images_of import table_images
from fer_tune.data.preparing.readers.trees.images import SUFFIXES, decode, images_below, in_channels
from fer_tune.errors import UserError, nearest
from fer_tune.layout import BEST
from fer_tune.run_folder import TrainedOn
from fer_tune.storage.runs import needed

AT_ONCE = 2048  # images in memory at a time


@dataclass(frozen=True)
class Network:
    """The trained models of one configuration, a seed each, and the card that tells what images they take."""

    config_id: str
    card: DatasetCard
    trained_on: TrainedOn
    settings: list[TrialConfig]
    files: list[Path]
    seeds: list[int]
    validation: list[float]  # best validation accuracy of each seed; NaN for those trained on val too

    def best_seed(self) -> int:
        """Return the place in `seeds` of the best on validation; the first where no validation accuracy is known."""
        scored = [-1.0 if value != value else value for value in self.validation]  # NaN: trained on val too
        return scored.index(max(scored))

    def load(self, number: int, device: str) -> Any:
        """Return the model of one seed, ready to predict."""
        from fer_tune.training.evaluation import load_model

        return load_model(self.settings[number], self.card, self.files[number], device)

    def predict(
        self, parts: Iterable[ImageList], device: str, views: str = "none"
    ) -> Iterator[tuple[ImageList, NDArray[np.float32]]]:
        """Yield each part with the probabilities of every seed, (S, N, C)."""
        from fer_tune.training.evaluation import predict

        models: list[Any] = []
        for images in parts:
            models = models or [self.load(number, device) for number in range(len(self.seeds))]
            found = []
            for model, settings in zip(models, self.settings, strict=True):
                options: dict[str, Any] = {"views": views} if views != "none" else {}
                if getattr(settings, "image_size", None):
                    options["image_size"] = settings.image_size
                found.append(predict(model, images, self.card, device, **options))
            yield images, np.stack(found)


def network(run: RunRecord, config_id: str | None = None, seed: int | None = None) -> Network:
    """Return the models of a refitted configuration; of the winner, and of all its seeds, by default.

    Raises:
        UserError: nothing is refitted, there is no such configuration or seed, or the dataset's card is gone.
    """
    card = dataset_card(run)
    if card is None:
        raise UserError(
            f"{run.place}: the prepared dataset is not at {run.settings.dataset.path} any more, and its card is "
            f"not in the run: copy its {CARD_FILE} to {run.folder.dataset_file}"
        )
    chosen = _chosen(run, config_id)
    results = chosen.refit.completed
    seeds = [result.seed for result in results]
    if seed is not None:
        if seed not in seeds:
            known = ", ".join(map(str, seeds))
            raise UserError(f"--seed {seed}: {chosen.refit.config.config_id} has the seeds {known}")
        results = [result for result in results if result.seed == seed]
    name = chosen.refit.config.config_id
    files = [run.folder.refit_seed(name, result.seed, chosen.trained_on) / BEST for result in results]
    for file in files:
        if not needed(run.folder, file).is_file():
            raise UserError(f"{file}: missing; remove {file.parent} and train it again with `fer-tune refit`")
    return Network(
        name,
        card,
        chosen.trained_on,
        [seed_config(run, chosen.refit, result.seed, chosen.trained_on) for result in results],
        files,
        [result.seed for result in results],
        [result.best_val_accuracy for result in results],
    )


def _chosen(run: RunRecord, config_id: str | None) -> Chosen:
    if config_id is None:
        if run.tests:
            config_id = run.tests[0].config_id  # what was tested is what is used
        else:
            return select_models(run)[0]
    finals = {refit.config.config_id: refit for refit in run.finals if refit.completed}
    refits = {refit.config.config_id: refit for refit in run.refits if refit.completed}
    if config_id in finals:
        return Chosen(finals[config_id], "winner", "asked for", "train+val")
    if config_id in refits:
        return Chosen(refits[config_id], "winner", "asked for")
    if not refits:
        run.folder.refit_plan()  # says that nothing is refitted
    hint = nearest(config_id, refits) or f"there are {', '.join(refits) or 'none'}"
    raise UserError(f"--config {config_id}: no refit of it has ended in {run.place}; {hint}")


def read_source(source: Path, card: DatasetCard, split: str = "val") -> Iterator[ImageList]:
    """Read what is to be predicted: an image, a folder of images and folders, a table, or a prepared dataset.

    Files are decoded, turned upright and fitted as `fer-tune data prepare` does; faces are not looked for or cropped.

    Args:
        source: where the images are.
        card: of the dataset that the models were trained on; the images are brought to its shape.
        split: ``train`` or ``val``, of a prepared dataset.

    Yields:
        Parts of at most `AT_ONCE` images, so that a folder of any size fits in memory.

    Raises:
        UserError: nothing is there, an image cannot be read, or a dataset has another shape.
    """
    if (source / CARD_FILE).is_file():
        yield _dataset(source, card, split)
        return
    if source.is_file() and source.suffix.lower() in TABLES:
        yield from _table(source, card)
        return
    if source.is_dir():
        files = images_below(source)[0]
        if not files:
            raise UserError(f"{source}: no image in it; {_kinds()}")
    elif source.is_file():
        files = [source]
    else:
        raise UserError(f"{source}: no such file or folder")
    for start in range(0, len(files), AT_ONCE):
        part = files[start : start + AT_ONCE]
        yield ImageList(np.stack([_image(file, card) for file in part]), None, [str(file) for file in part])


def in_memory(images: Any, card: DatasetCard) -> Iterator[ImageList]:
    """Bring images in memory to the shape that the models take.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8, or a sequence of (H, W) or (H, W, C) ones of any size; C is 1 or 3.
        card: of the dataset that the models were trained on.

    Yields:
        Parts of at most `AT_ONCE` images, named by their places.

    Raises:
        UserError: none at all, or one is no image.
    """
    given = list(images)
    if not given:
        raise UserError("predict: no image was given")
    for start in range(0, len(given), AT_ONCE):
        part = [
            _fitted(np.asarray(image), f"image {start + place}", card)
            for place, image in enumerate(given[start : start + AT_ONCE])
        ]
        yield ImageList(np.stack(part), None, [str(start + place) for place in range(len(part))])


def _fitted(pixels: NDArray[Any], name: str, card: DatasetCard) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)):
        raise UserError(f"{name}: {pixels.dtype} {pixels.shape}; an image is (H, W), (H, W, 1) or (H, W, 3) of uint8")
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return _shaped(in_channels(flat, card.channels), card)


def _table(source: Path, card: DatasetCard) -> Iterator[ImageList]:
    rows = table_images(source)
    while part := list(islice(rows, AT_ONCE)):
        images = [_shaped(in_channels(pixels, card.channels), card) for _, pixels in part]
        yield ImageList(np.stack(images), None, [name for name, _ in part])


def _dataset(source: Path, card: DatasetCard, split: str) -> ImageList:
    if split not in ("train", "val"):
        raise UserError(f"--split {split}: train or val; `fer-tune test` alone opens the held-out split")
    data = PreparedDataset.open(source)
    if data.card.shape != card.shape:
        raise UserError(
            f"{source}: its images are {data.card.shape}, the run's {card.shape} (height, width, channels); "
            f"prepare it with --size {card.height} --fit {card.fit} --channels {card.channels}"
        )
    if data.card.classes != card.classes:
        raise UserError(
            f"{source}: its classes are {', '.join(data.card.classes)}, the run's {', '.join(card.classes)}; "
            "predict the image files instead"
        )
    own = data.train() if split == "train" else data.val()
    return ImageList(own.images, own.labels, own.sources)


def _image(file: Path, card: DatasetCard) -> NDArray[np.uint8]:
    try:
        pixels = decode(file, card.channels)
    except UnreadableError as error:
        raise UserError(f"{file}: cannot be read as an image: {error}; {_kinds()}") from None
    return _shaped(pixels, card)


def _shaped(pixels: NDArray[np.uint8], card: DatasetCard) -> NDArray[np.uint8]:
    return fitted(pixels, card.height, card.width, card.fit).reshape(card.shape)


def _kinds() -> str:
    return f"images end in {', '.join(sorted(SUFFIXES))}"


def prediction_table(
    images: ImageList, probabilities: NDArray[Any], classes: list[str], top: int, *, labels: list[str] | None = None
) -> pd.DataFrame:
    """Return a row per image: source, label where known, the ``top`` classes with their probabilities, all p_<class>.

    Args:
        images: N images.
        probabilities: (S, N, C); the seeds' mean counts.
        classes: the C names.
        top: how many classes to name, at least 1.
        labels: N names.
    """
    joint = probabilities.mean(0)
    order = np.argsort(-joint, axis=1, kind="stable")[:, :top]
    columns: dict[str, Any] = {"source": images.sources}
    if labels is not None:
        columns["label"] = labels
    for place in range(order.shape[1]):
        own = order[:, place]
        columns[f"top_{place + 1}"] = [classes[index] for index in own]
        columns[f"probability_{place + 1}"] = joint[np.arange(len(joint)), own]
    columns |= {f"p_{name}": joint[:, index] for index, name in enumerate(classes)}
    return pd.DataFrame(columns)
