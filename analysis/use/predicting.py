"""Use what a run has trained: the models of one configuration, and what they predict for any images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.heldout.image_list import ImageList
from analysis.refits.plan import seed_config
from analysis.refits.predictor import Predictor
from analysis.refits.selection import Chosen, select_models
from analysis.run import RunRecord
from analysis.run.cards import dataset_card
from fer_tune.config import TrialConfig
from fer_tune.data.prepared.card import CARD_FILE, DatasetCard
from fer_tune.errors import UserError, nearest
from fer_tune.layout import BEST
from fer_tune.run_folder import TrainedOn
from fer_tune.storage.runs import needed


@dataclass(frozen=True)
class Network:
    """The trained models of one configuration, a seed each, and the card that tells what images they take."""

    config_id: str
    card: DatasetCard
    trained_on: TrainedOn
    settings: list[TrialConfig]
    files: list[Path]
    seeds: list[int]
    validation: list[float]  # what each seed is judged by, more is better; minus infinity for those trained on val too

    def best_seed(self) -> int:
        """Return the place in `seeds` of the best on validation; the first where nothing is known of that."""
        return self.validation.index(max(self.validation))

    def load(self, number: int, device: str) -> Any:
        """Return the model of one seed, ready to predict."""
        return Predictor(self.card, device).load(self.settings[number], self.files[number])

    def predict(
        self, parts: Iterable[ImageList], device: str, views: str = "none"
    ) -> Iterator[tuple[ImageList, NDArray[np.float32]]]:
        """Yield each part with the probabilities of every seed, (S, N, C)."""
        predictor = Predictor(self.card, device)
        models: list[Any] = []
        for images in parts:
            models = models or [self.load(number, device) for number in range(len(self.seeds))]
            both = zip(models, self.settings, strict=True)
            yield images, np.stack([predictor.predict(model, own, images, views) for model, own in both])


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
        [run.aim.key(getattr(result, run.aim.column)) for result in results],
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
