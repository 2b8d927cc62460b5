"""The tested models on the held-out images under common corruptions: one pass over the images, all seeds at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.heldout.further import FurtherReading
from analysis.heldout.image_list import ImageList
from analysis.heldout.opening import open_dataset
from analysis.heldout.tested_models import AT_ONCE, SAME, TestedModels, tested_winner
from analysis.refits.predictor import Load, Predict, Predictor
from analysis.results import CorruptedAt, Corruption, Corruptions
from analysis.run import RunRecord
from analysis.run.cards import sampled_groups
from analysis.statistics.uncertainty.means import mean_estimates
from analysis.statistics.uncertainty.sampling import RESAMPLES, Sampling, sampling_of
from fer_tune.data.batching.corrupting import CORRUPTIONS, STRENGTHS, corrupted, parameter
from fer_tune.data.prepared.store import Split
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json

_METHOD = (
    "Intervals as of the test: for new {images}{and_seeds}, the same resamples for all strengths, so that a loss is "
    "that on the same images. What is drawn for an image depends on the seed {seed} and its place alone."
)


def run_corruptions(
    run: RunRecord,
    *,
    data: str | Path | None = None,
    why: str | None = None,
    seed: int = 0,
    load: Load | None = None,
    predict: Predict | None = None,
    device: str | None = None,
    resamples: int = RESAMPLES,
) -> Corruptions:
    """Read the held-out split once more, corrupted, with the models that won the latest test, on record.

    Args:
        run: the run.
        data: where the dataset is now, if it was moved.
        why: the reason to note in the ledger.
        seed: what is drawn from.
        load: stand-in for `fer_tune.training.evaluation.load_model`.
        predict: stand-in for `fer_tune.training.evaluation.predict`.
        device: a torch device; a GPU if there is one.
        resamples: bootstrap resamples of the intervals.

    Raises:
        UserError: nothing was tested, it was done already, or the models are not those that were tested.
    """
    test = tested_winner(run, "--corruptions")
    file = run.folder.corruptions_file(test.config_id, test.opening)
    if file.is_file():
        raise UserError(
            f"{run.place}: {test.config_id} was read under corruptions already, and would do the same again; the "
            f"result is in {file}, and `fer-tune report` shows it. `--again` tests the split anew, and corrupted"
        )
    dataset = open_dataset(run, data)
    models = TestedModels(run, test, Predictor(dataset.card, device, load, predict))
    models.check(run, test, dataset.val())
    reading = FurtherReading(run, dataset, "corruptions", why, str(data or ""))
    split = reading.open({"what": test.config_id, "of_opening": test.opening, "seeds": test.seeds, "seed": seed})
    clean, right = _right(models, split, seed)
    if np.abs(clean.mean(1) - test.accuracy.per_seed).max() > SAME + 1 / len(split):
        raise UserError(f"{run.place}: the models do not do on the images as they are what they did in the test; refit")
    groups = sampled_groups(dataset.card, split.groups)
    sampling = sampling_of(groups, len(split), resamples)
    side = min(dataset.card.height, dataset.card.width)
    found = Corruptions(
        config_id=test.config_id,
        opening=test.opening,
        when=reading.when,
        seeds=test.seeds,
        seed=seed,
        images=len(split),
        side=side,
        groups_sampled=test.groups_sampled,
        method=_METHOD.format(
            images="groups" if test.groups_sampled > 1 else "images",
            and_seeds=" and new seeds" if len(test.seeds) > 1 else " of this one trained model",
            seed=seed,
        ),
        **summary(clean, right, sampling, side),
    )
    write_json(found, file)
    reading.end(found.mean.value, file)
    return found


def _right(models: TestedModels, split: Split, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which images each seed has right: as they are, (S, N), and corrupted, (S, N, K, 5)."""
    clean, blocks = [], []
    for first in range(0, len(split), AT_ONCE):
        images, labels = split.images[first : first + AT_ONCE], split.labels[first : first + AT_ONCE]

        def right(pixels: NDArray[np.uint8], labels: NDArray[Any] = labels) -> NDArray[np.bool_]:
            found: NDArray[np.bool_] = models.predict(ImageList(pixels, labels)).argmax(-1) == labels
            return found

        clean.append(right(images))
        cells = [[right(corrupted(images, kind, at, seed, first)) for at in STRENGTHS] for kind in CORRUPTIONS]
        blocks.append(np.moveaxis(np.array(cells), (0, 1), (2, 3)))
    return np.concatenate(clean, axis=1), np.concatenate(blocks, axis=1)


def summary(clean: NDArray[np.bool_], right: NDArray[np.bool_], sampling: Sampling, side: int) -> dict[str, Any]:
    """Return the fields of `Corruptions` that are reckoned, by name.

    Args:
        clean: (S, N) whether each seed has each image right.
        right: (S, N, K, 5) the same under each corruption and strength.
        sampling: what the images are a sample of.
        side: of the images, in pixels.
    """
    seeds, images, kinds, strengths = right.shape
    each = right.mean(3)  # (S, N, K)
    whole = each.mean(2, keepdims=True)
    shares = np.concatenate([clean[..., None], right.reshape(seeds, images, -1), each, whole], axis=2)
    losses = clean[..., None] - np.concatenate([each, whole], axis=2)
    first, *found = mean_estimates(shares, sampling)
    lost = mean_estimates(losses, sampling, low=-1.0)
    cells, means = found[: kinds * strengths], found[kinds * strengths :]
    return {
        "clean": first,
        "mean": means[-1],
        "loss": lost[-1],
        "each": [
            Corruption(
                name=name,
                mean=means[place],
                loss=lost[place],
                at=[
                    CorruptedAt(strength=at, parameter=parameter(name, at, side), accuracy=accuracy)
                    for at, accuracy in zip(STRENGTHS, cells[place * strengths :][:strengths], strict=True)
                ],
            )
            for place, name in enumerate(CORRUPTIONS)
        ],
    }
