"""The tested models on the held-out split of another dataset, on record there too."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.heldout.class_matching import Matched, match_classes
from analysis.heldout.further import FurtherReading
from analysis.heldout.image_list import ImageList
from analysis.heldout.opening import open_dataset
from analysis.heldout.tested_models import AT_ONCE, TestedModels, tested_winner
from analysis.refits.predictor import Load, Predict, Predictor
from analysis.results import Scores, TestResult, Transfer
from analysis.run import RunRecord
from analysis.run.cards import sampled_groups
from analysis.statistics.scores import score
from analysis.statistics.uncertainty.means import mean_estimates
from analysis.statistics.uncertainty.sampling import RESAMPLES, sampling_of
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.fitting import fitted
from fer_tune.data.preparing.readers.trees.images import in_channels
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json

Pixels = NDArray[np.uint8]


def run_transfer(
    run: RunRecord,
    on: str | Path,
    *,
    data: str | Path | None = None,
    again: bool = False,
    why: str | None = None,
    load: Load | None = None,
    predict: Predict | None = None,
    device: str | None = None,
    resamples: int = RESAMPLES,
) -> Transfer:
    """Evaluate the models that won the latest test on the held-out split of the dataset ``on``, on record.

    Images are brought to the shape that the models take, as `fer-tune data prepare` would.  Those that are identical to
    one that the run trained or chose with are left out.  People count where the other dataset tells them, however it
    was divided: the models saw none of them.

    Args:
        run: the run.
        on: the other prepared dataset.
        data: where the run's own dataset is now, if it was moved.
        again: read that split although this run has done so before.
        why: the reason to note in the ledgers.
        load: stand-in for `fer_tune.training.evaluation.load_model`.
        predict: stand-in for `fer_tune.training.evaluation.predict`.
        device: a torch device; a GPU if there is one.
        resamples: bootstrap resamples of the intervals.

    Raises:
        UserError: nothing was tested, the split is the run's own, fewer than two classes are shared, or this run has
            read that split and ``again`` is false.
    """
    test = tested_winner(run, f"--on {on}")
    dataset, other = open_dataset(run, data), PreparedDataset.open(on)
    card, matched = other.card, match_classes(dataset.card.classes, other.card.classes)
    if card.split_hashes["test"] == dataset.card.split_hashes["test"]:
        raise UserError(f"--on {on}: the held-out split of the run itself; `fer-tune test {run.quoted}` reads it")
    if len(matched.shared) < 2:
        raise UserError(
            f"--on {on}: two shared classes are needed, there {'is' if matched.shared else 'are'} "
            f"{', '.join(matched.shared) or 'none'}: {card.name} has {', '.join(card.classes)}, the models know "
            f"{', '.join(dataset.card.classes)}; prepare it with --classes old=new where names differ"
        )
    reading = FurtherReading(run, other, "transfer", why, str(data or ""))
    before = len(reading.before())
    if before and not again:
        raise UserError(
            f"--on {on}: this run has read the held-out split of {card.name} before, and its result is in "
            f"{run.folder.transfer_file(_place(card), before)}; to read it once more, counted: --again"
        )
    models = TestedModels(run, test, Predictor(dataset.card, device, load, predict))
    models.check(run, test, dataset.val())
    known = {_digest(image) for split in (dataset.train(), dataset.val()) for image in split.images}
    split = reading.open({"what": test.config_id, "of_opening": test.opening, "seeds": test.seeds})
    blocks, fresh = [], []
    for first in range(0, len(split), AT_ONCE):
        images = brought(split.images[first : first + AT_ONCE], dataset.card)
        fresh += [_digest(image) not in known for image in images]
        blocks.append(models.predict(ImageList(images)))
    kept = np.array(fresh)
    if not kept.any():
        raise UserError(f"--on {on}: every image of its held-out split is one that the run trained or chose with")
    probabilities, labels = np.concatenate(blocks, axis=1)[:, kept], split.labels[kept]
    groups = list(np.array(split.groups)[kept]) if any(split.groups) else None
    meant = matched.tested[labels]  # the label among the shared classes, -1 for another
    found = Transfer(
        config_id=test.config_id,
        backbone=test.backbone,
        opening=test.opening,
        reading=before + 1,
        when=reading.when,
        trained_on=dataset.card.name,
        tested_on=card.name,
        content_hash=card.content_hash,
        split_hash=card.split_hashes["test"],
        shared=matched.shared,
        only_trained=matched.only_trained,
        only_tested=matched.only_tested,
        images=len(split),
        known=int((~kept).sum()),
        brought=_told(card, dataset.card),
        scores=_scores(matched, meant, probabilities, test.seeds, groups, resamples),
        every=mean_estimates(
            ((matched.trained[probabilities.argmax(-1)] == meant) & (meant >= 0))[..., None],
            sampling_of(groups, len(labels), resamples),
        )[0],
        home=_home(run, test, matched, dataset.card, resamples),
    )
    file = run.folder.transfer_file(_place(card), found.reading)
    write_json(found, file)
    reading.end(found.scores.accuracy.value, file)
    return found


def _scores(
    matched: Matched,
    meant: NDArray[np.int64],
    probabilities: NDArray[Any],
    seeds: list[int],
    groups: list[str] | None,
    resamples: int,
) -> Scores:
    """Score the images of shared classes, the answer among those.

    Args:
        matched: the classes of both.
        meant: (N,) label among the shared classes, -1 for another.
        probabilities: (S, N, C) of the models' classes.
        seeds: the S seeds.
        groups: N names, or None.
        resamples: bootstrap resamples.
    """
    own = meant >= 0
    if not own.any():
        raise UserError(f"no image of a shared class ({', '.join(matched.shared)}) is in the other held-out split")
    kept = None if groups is None else [name for name, shared in zip(groups, own, strict=True) if shared]
    answers = matched.restricted(probabilities[:, own])
    return score(meant[own], answers, matched.shared, seeds, groups=kept, resamples=resamples)


def _home(run: RunRecord, test: TestResult, matched: Matched, card: DatasetCard, resamples: int) -> Scores | None:
    """Return the same on the run's own held-out split, from the predictions of its test, without another reading."""
    try:
        own = run.predictions(test.config_id)
    except UserError:
        return None
    groups = sampled_groups(card, own.groups)
    return _scores(matched, matched.trained[own.labels], own.probabilities, own.seeds, groups, resamples)


def brought(images: Pixels, card: DatasetCard) -> Pixels:
    """Return (N, H, W, C) images in the shape that ``card`` tells, as `fer-tune data prepare` would."""
    if images.shape[1:] == card.shape:
        return images
    flat = (image[..., 0] if image.shape[-1] == 1 else image for image in images)
    shaped = (fitted(in_channels(image, card.channels), card.height, card.width, card.fit) for image in flat)
    return np.stack([image.reshape(card.shape) for image in shaped])


def _told(card: DatasetCard, own: DatasetCard) -> str:
    """Say how images were brought to another shape; empty where they had it."""
    changes = []
    if (card.height, card.width) != (own.height, own.width):
        changes.append(f"from {card.height} x {card.width} to {own.height} x {own.width} pixels")
    if card.channels != own.channels:
        changes.append("to grey" if own.channels == 1 else "to three equal channels")
    return ", ".join(changes)


def _place(card: DatasetCard) -> str:
    """Return the folder's name for a split: readable, and its own."""
    name = re.sub(r"[^a-z0-9]+", "_", card.name.lower()).strip("_") or "dataset"
    return f"{name}-{card.split_hashes['test'][:12]}"


def _digest(image: Pixels) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()
