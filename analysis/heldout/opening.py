"""The held-out split: opened once for the selected models, on record; `further` alone opens it besides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.combining.choice import choose_combination
from analysis.combining.validation import Validation
from analysis.heldout.chosen import evaluate_chosen
from analysis.heldout.cost import measure, watched
from analysis.heldout.examples import keep_examples
from analysis.heldout.gradcam import heat
from analysis.heldout.image_list import ImageList
from analysis.heldout.on_record import OnRecord, check_not_opened
from analysis.heldout.scaling import scaling
from analysis.refits.plan import seed_config
from analysis.refits.predictor import Load, Predict, Predictor
from analysis.refits.selection import Chosen, select_models
from analysis.results import Scaling, TestResult
from analysis.run import RunRecord
from analysis.run.cards import keep_card, sampled_groups
from analysis.run.predictions import predictions_file, write_predictions
from analysis.statistics.calibration.temperature import fit_temperature
from analysis.statistics.comparing.paired import Contender, compare
from analysis.statistics.groups.gaps import group_gap
from analysis.statistics.groups.within_groups import group_scores
from analysis.statistics.scores import score
from analysis.statistics.uncertainty.sampling import RESAMPLES
from fer_tune.data.prepared.store import PreparedDataset, Split
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.filing.layout import BEST
from fer_tune.storage.runs import needed
from fer_tune.version import __version__, commit


def open_dataset(run: RunRecord, path: str | Path | None = None) -> PreparedDataset:
    """Open the run's dataset, at ``path`` if it was moved, and check that its content is the run's.

    Raises:
        UserError: there is no dataset, or its content differs.
    """
    expected = run.settings.dataset
    try:
        data = PreparedDataset.open(path or expected.path)
    except UserError as error:
        raise UserError(f"{error}\n{run.settings.name}: --data names its dataset ({expected.name}) elsewhere") from None
    data.check_content(
        expected.content_hash,
        f"name the one that the run is on ({expected.name}) with --data, or prepare it again as it was",
    )
    return data


def run_test(
    run: RunRecord,
    *,
    data: str | Path | None = None,
    again: bool = False,
    why: str | None = None,
    views: tuple[str, ...] = (),
    combine: bool = True,
    load: Load | None = None,
    predict: Predict | None = None,
    device: str | None = None,
    resamples: int = RESAMPLES,
) -> TestResult:
    """Evaluate the winner, and what it is compared with, on the held-out split, in one opening, and record it.

    All that can fail without the split is checked first; then the opening is written to the ledger; then the split is
    opened.  So no opening goes unrecorded, and a mistake in a path costs none.

    Args:
        run: the run.
        data: where the dataset is now, if it was moved.
        again: allow another opening; it is counted.
        why: the reason to note in the ledger.
        views: kinds of `fer_tune.data.batching.views` (``flip``, ``ten_crop``) to predict with besides the image alone.
        combine: choose on validation how the models are used together, and test what is chosen too.
        load: stand-in for `fer_tune.training.evaluation.load_model`.
        predict: stand-in for `fer_tune.training.evaluation.predict`.
        device: a torch device; a GPU if there is one.
        resamples: bootstrap resamples of the intervals.

    Returns:
        The winner's result; those of the others and the comparison are in the run folder.

    Raises:
        UserError: no winner can be chosen, the dataset is another one, a model is missing, or the split was opened
            before and ``again`` is false.
    """
    chosen = select_models(run)
    if not again:
        check_not_opened(run, str(data or ""))
    dataset = open_dataset(run, data)
    keep_card(run, dataset)
    predictor = Predictor(dataset.card, device, load, predict)
    tested = [_Models(run, each, predictor, resamples) for each in chosen]
    validation = Validation(dataset.val(), predictor)
    for models in tested:
        models.check(validation)  # a model that does not load must not cost an opening
    winner = chosen[0]
    choice = None
    if combine and winner.trained_on == "train":
        kinds = ("none", "flip") if "flip" in views else ("none",)
        choice = choose_combination(run, winner, dataset, validation, predictor, kinds)

    record = OnRecord(run, dataset, again=again, why=why)
    record.begin(
        {
            "what": winner.refit.config.config_id,
            "beside": [each.refit.config.config_id for each in chosen[1:]],
            "seeds": tested[0].seeds,
            "trained_on": winner.trained_on,
            "views": ["none", *views],
            **({} if choice is None else {"chosen": choice.combination.name}),
        }
    )
    split = dataset.open_test()
    found = [models.test(split, views, record.when, record.number) for models in tested]
    contenders = [
        Contender(each.refit.config.config_id, each.refit.config.origin, probabilities)
        for each, (_, probabilities) in zip(chosen, found, strict=True)
    ]
    results = [result for result, _ in found]
    comparisons = len(contenders) - 1 + (choice is not None and not choice.is_single)
    if len(contenders) > 1:
        comparison = compare(
            split.labels,
            contenders[0],
            contenders[1:],
            groups=sampled_groups(dataset.card, split.groups),
            comparisons=comparisons,
            opening=record.number,
        )
        write_json(comparison, run.folder.comparison_file(record.number))
    if choice is not None:
        evaluate_chosen(run, choice, results[0], results[1:], split, predictor, comparisons, resamples)
    record.end(results)
    return results[0]


class _Models:
    """The models of one configuration, a seed each."""

    def __init__(self, run: RunRecord, chosen: Chosen, predictor: Predictor, resamples: int) -> None:
        self._run, self._chosen, self._predictor, self._resamples = run, chosen, predictor, resamples
        self._card, self._device = predictor.card, predictor.device
        config_id = chosen.refit.config.config_id
        self.seeds = [result.seed for result in chosen.refit.completed]
        self._temperatures: list[float] = []  # of the seeds, from `check`; none where they were trained on validation
        self._validated = 0  # images that these are fitted on
        self._settings = [seed_config(run, chosen.refit, seed, chosen.trained_on) for seed in self.seeds]
        self._files = [
            needed(run.folder, run.folder.refit_seed(config_id, seed, chosen.trained_on) / BEST) for seed in self.seeds
        ]

    def check(self, validation: Validation) -> None:
        """Load every model, and see that one trained on train alone does on validation what it did then.

        Its temperature is fitted there: see `analysis.statistics.calibration.temperature`.

        Raises:
            UserError: a file is missing, or see `Validation.checked`.
        """
        for settings, file, result in zip(self._settings, self._files, self._chosen.refit.completed, strict=True):
            if not file.is_file():
                raise UserError(f"{file}: missing; remove {file.parent} and train it again with `fer-tune refit`")
            model = self._predictor.load(settings, file)
            if self._chosen.trained_on == "train":
                predicted = validation.checked(model, settings, file, result)
                self._temperatures.append(fit_temperature(validation.split.labels, predicted))
                self._validated = len(predicted)

    def _scaled(self, labels: NDArray[Any], probabilities: NDArray[Any], groups: list[str] | None) -> Scaling | None:
        """Return what temperature scaling does to (S, N, C) probabilities; None where none could be fitted."""
        if len(self._temperatures) != len(self.seeds):
            return None
        fitted, images = self._temperatures, self._validated
        return scaling(labels, probabilities, fitted, images, groups=groups, resamples=self._resamples)

    def _look(self, images: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any] | None:
        """Return where the first seed's network looked when it chose ``predicted``; None where it cannot tell."""
        if not len(images):
            return None
        import torch

        from fer_tune.data.batching.batches import Batches

        model = self._predictor.load(self._settings[0], self._files[0])
        if not isinstance(model, torch.nn.Module):
            return None
        size = self._settings[0].image_size
        batches = Batches(ImageList(images), self._card, torch.device(self._device), size)
        found, start = [], 0
        for batch, _ in batches.evaluation(32):
            found.append(heat(model, batch, predicted[start : start + len(batch)]))
            start += len(batch)
        known = [each for each in found if each is not None]
        return np.concatenate(known) if len(known) == len(found) else None

    def test(self, split: Split, views: tuple[str, ...], when: str, opening: int) -> tuple[TestResult, NDArray[Any]]:
        """Predict, score and write; return the result and the (S, N, C) probabilities of the images alone."""
        card, config = self._card, self._chosen.refit.config
        folder = self._run.folder.test(config.config_id, opening)
        kinds = ("none", *views)
        blocks: dict[str, list[NDArray[Any]]] = {kind: [] for kind in kinds}
        cost = None
        for settings, file in zip(self._settings, self._files, strict=True):
            model = self._predictor.load(settings, file)
            with watched(model) as shape:
                blocks["none"].append(self._predictor.predict(model, settings, split))
            cost = cost or (measure(model, shape[0], self._device) if shape else None)
            for kind in views:
                blocks[kind].append(self._predictor.predict(model, settings, split, kind))
        probabilities = {kind: np.stack(found) for kind, found in blocks.items()}
        groups = sampled_groups(card, split.groups)
        scored = {
            kind: score(split.labels, found, card.classes, self.seeds, groups=groups, resamples=self._resamples)
            for kind, found in probabilities.items()
        }
        for kind, found in probabilities.items():
            write_predictions(predictions_file(folder, kind), split, found, card.classes, self.seeds)
        result = TestResult(
            **dict(scored["none"]),
            config_id=config.config_id,
            role=self._chosen.role,
            backbone=config.backbone,
            origin=config.origin,
            config=config.config,
            trained_on=self._chosen.trained_on,
            epochs=[result.epochs for result in self._chosen.refit.completed],
            when=when,
            opening=opening,
            selection=self._chosen.words,
            dataset=card.name,
            content_hash=card.content_hash,
            split_hash=card.split_hashes["test"],
            fer_tune=__version__,
            commit=commit(),
            cost=cost,
            scaling=self._scaled(split.labels, probabilities["none"], groups),
            groups=group_scores(split.labels, probabilities["none"], split.groups),
            group_gap=group_gap(split.labels, probabilities["none"], split.groups),
            views={kind: scored[kind] for kind in views},
        )
        if result.role == "winner":
            keep_examples(folder, split, probabilities["none"], card.classes, self._look)
        write_json(result, folder / "metrics.json")
        return result, probabilities["none"]
