"""Use what a run has trained: models of it, and what they predict for any images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.heldout.image_list import ImageList
from analysis.refits.plan import seed_config
from analysis.refits.predictor import Predictor
from analysis.refits.selection import Chosen, select_models
from analysis.run import RunRecord
from analysis.run.cards import dataset_card
from analysis.run.combinations import averaged_folder, latest_choice
from analysis.statistics.calibration.temperature import scaled_seeds
from fer_tune.config import TrialConfig
from fer_tune.data.prepared.card import CARD_FILE, DatasetCard
from fer_tune.errors import UserError, nearest
from fer_tune.filing.layout import BEST
from fer_tune.run_folder import TrainedOn
from fer_tune.storage.runs import needed

Use = Literal["single", "ensemble", "chosen"]
"""Which models are used: the best seed on validation, the mean of the seeds, or what validation chose."""


@dataclass(frozen=True)
class Network:
    """Trained models that are used together, and the card that tells what images they take.

    They are the seeds of one configuration, unless validation chose others.
    """

    use: Use
    config_ids: list[str]  # of each model
    card: DatasetCard
    trained_on: TrainedOn
    settings: list[TrialConfig]
    files: list[Path]
    seeds: list[int]
    validation: list[float]  # what each seed is judged by, more is better; minus infinity for those trained on val too
    shares: list[float] = field(default_factory=list)  # of the mean, which sum to 1; all alike where there are none
    temperatures: list[float] | None = None  # of the models, where `fer-tune test` has fitted them on validation
    mirrored: bool = False  # whether the mean is over the mirror image of each image too
    name: str = ""  # of what validation chose

    @property
    def words(self) -> str:
        """Which models these are."""
        if self.name:
            return f"{self.name} (chosen on validation), trained on {self.trained_on}"
        told = f", mean of {len(self.seeds)} seeds" if len(self.seeds) > 1 else f" seed {self.seeds[0]}"
        return f"{self.config_ids[0]}{told}, trained on {self.trained_on}"

    def alone(self, number: int) -> Network:
        """Return the model of one seed."""
        return replace(
            self,
            use="single",
            config_ids=[self.config_ids[number]],
            settings=[self.settings[number]],
            files=[self.files[number]],
            seeds=[self.seeds[number]],
            validation=[self.validation[number]],
            temperatures=None if self.temperatures is None else [self.temperatures[number]],
            shares=[],
        )

    def best_seed(self) -> int:
        """Return the place in `seeds` of the best on validation; the first where nothing is known of that."""
        return self.validation.index(max(self.validation))

    def weights(self) -> NDArray[np.float64]:
        """Return the (S,) shares of the models in the mean."""
        return np.array(self.shares or [1 / len(self.seeds)] * len(self.seeds))

    def load(self, number: int, device: str) -> Any:
        """Return the model of one seed, ready to predict."""
        return Predictor(self.card, device).load(self.settings[number], self.files[number])

    def predict(
        self, parts: Iterable[ImageList], device: str, views: str = "none", *, scaled: bool = False
    ) -> Iterator[tuple[ImageList, NDArray[np.float32]]]:
        """Yield each part with the (N, C) probabilities that the models have together.

        ``scaled``: each model's with its temperature, where these are known.
        """
        views = "flip" if self.mirrored else views
        predictor = Predictor(self.card, device)
        models: list[Any] = []
        for images in parts:
            models = models or [self.load(number, device) for number in range(len(self.seeds))]
            both = zip(models, self.settings, strict=True)
            each = np.stack([predictor.predict(model, own, images, views) for model, own in both])
            if scaled and self.temperatures is not None:
                each = scaled_seeds(each, self.temperatures)
            yield images, np.tensordot(self.weights(), each, 1).astype(np.float32)


def network(
    run: RunRecord, config_id: str | None = None, seed: int | None = None, on: TrainedOn | None = None
) -> Network:
    """Return the models of a refitted configuration; of the winner, and of all its seeds, by default.

    Those that were trained on train and val together are taken where there are some, unless ``on`` tells otherwise.

    Raises:
        UserError: nothing is refitted, there is no such configuration or seed, or the dataset's card is gone.
    """
    card = dataset_card(run)
    if card is None:
        raise UserError(
            f"{run.place}: its prepared dataset is not at {run.settings.dataset.path} any more, and its card is "
            f"not in the run: copy its {CARD_FILE} to {run.folder.dataset_file}"
        )
    found = _chosen(run, config_id, on)
    results = found.refit.completed
    seeds = [result.seed for result in results]
    if seed is not None:
        if seed not in seeds:
            known = ", ".join(map(str, seeds))
            raise UserError(f"--seed {seed}: {found.refit.config.config_id} has the seeds {known}")
        results = [result for result in results if result.seed == seed]
    name = found.refit.config.config_id
    files = [run.folder.refit_seed(name, result.seed, found.trained_on) / BEST for result in results]
    for file in files:
        if not needed(run.folder, file).is_file():
            raise UserError(f"{file}: missing; remove {file.parent} and train it again with `fer-tune refit`")
    return Network(
        "ensemble" if len(results) > 1 else "single",
        [name] * len(results),
        card,
        found.trained_on,
        [seed_config(run, found.refit, result.seed, found.trained_on) for result in results],
        files,
        [result.seed for result in results],
        [run.aim.key(getattr(result, run.aim.column)) for result in results],
        temperatures=_temperatures(run, name, found.trained_on, [result.seed for result in results]),
    )


def _temperatures(run: RunRecord, config_id: str, trained_on: str, seeds: list[int]) -> list[float] | None:
    """Return the temperatures of these models, as the latest test has fitted them; None where it has not."""
    test = next((each for each in run.tests if each.config_id == config_id and each.trained_on == trained_on), None)
    if test is None or test.scaling is None:
        return None
    known = dict(zip(test.seeds, test.scaling.temperatures, strict=True))
    return [known[seed] for seed in seeds] if all(seed in known for seed in seeds) else None


def used(
    run: RunRecord, use: Use, config_id: str | None = None, seed: int | None = None, views: str = "none"
) -> Network:
    """Return the models that are used, see `Use`; of the winner unless a configuration is named.

    Raises:
        UserError: see `network` and `chosen`; or more is asked for beside what was chosen.
    """
    if use == "chosen":
        given = {"--config": config_id, "--seed": seed, "--views": None if views == "none" else views}
        if wrong := [name for name, value in given.items() if value is not None]:
            raise UserError(
                f"--use chosen: the models and views were chosen before the test; leave out {', '.join(wrong)}"
            )
        return chosen(run)
    models = network(run, config_id, seed)
    return models.alone(models.best_seed()) if use == "single" else models


def chosen(run: RunRecord) -> Network:
    """Return the models that validation chose to use together before the latest test.

    Raises:
        UserError: nothing was chosen, or a model is missing.
    """
    tested = latest_choice(run)
    if tested is None:
        why = "has not chosen yet: it does on validation, before it tests"
        if run.tests:
            why = "chose nothing: it was told not to, or its models were trained on train and val together"
        raise UserError(f"--use chosen: `fer-tune test {run.quoted}` {why}")
    used = tested.choice.combination
    first = used.members[0]
    if used.kind == "single":
        seeds = network(run, first.config_id, on="train")
        found = seeds.alone(seeds.best_seed())
    elif used.kind == "soup":
        own = network(run, first.config_id, first.seed, "train")
        file = needed(run.folder, averaged_folder(run, first.config_id) / BEST)
        if not file.is_file():
            raise UserError(f"{file}: missing; `fer-tune test {run.quoted} --again` makes it anew, and counts")
        found = replace(own, files=[file])
    else:
        each = [network(run, member.config_id, member.seed, "train") for member in used.members]
        found = replace(
            each[0],
            config_ids=[one.config_ids[0] for one in each],
            settings=[one.settings[0] for one in each],
            files=[one.files[0] for one in each],
            seeds=[one.seeds[0] for one in each],
            validation=[one.validation[0] for one in each],
            shares=[member.share for member in used.members],
        )
    return replace(found, use="chosen", temperatures=None, mirrored=used.views == "flip", name=used.name)


def _chosen(run: RunRecord, config_id: str | None, on: TrainedOn | None) -> Chosen:
    if config_id is None:
        if run.tests:
            config_id = run.tests[0].config_id  # what was tested is what is used
        else:
            return select_models(run)[0]
    finals = {refit.config.config_id: refit for refit in run.finals if refit.completed}
    refits = {refit.config.config_id: refit for refit in run.refits if refit.completed}
    if config_id in finals and on != "train":
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
        probabilities: (N, C).
        classes: the C names.
        top: how many classes to name, at least 1.
        labels: N names.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    columns: dict[str, Any] = {"source": images.sources}
    if labels is not None:
        columns["label"] = labels
    for place in range(order.shape[1]):
        own = order[:, place]
        columns[f"top_{place + 1}"] = [classes[index] for index in own]
        columns[f"probability_{place + 1}"] = probabilities[np.arange(len(own)), own]
    columns |= {f"p_{name}": probabilities[:, index] for index, name in enumerate(classes)}
    return pd.DataFrame(columns)
