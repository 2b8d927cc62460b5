"""What a run's refitted models are, what they predict for the validation images, and how they are used: chosen here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.combining.averaging import Soup
from analysis.combining.choosing import Library, Way, choose
from analysis.combining.judging import Judge
from analysis.combining.validation import Validation
from analysis.refits.plan import seed_config
from analysis.refits.predictor import Predictor
from analysis.refits.selection import Chosen
from analysis.run import ConfigRefit, RunRecord
from analysis.run.cards import sampled_groups
from analysis.run.combinations import Choice, Combination, Member, averaged_folder
from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing.layout import BEST
from fer_tune.run_folder import RefitResult
from fer_tune.storage.runs import needed


@dataclass(frozen=True)
class Refitted:
    """One refitted model: its settings, its weights and how its training ended."""

    settings: TrialConfig
    file: Path
    result: RefitResult


def refitted(run: RunRecord, refit: ConfigRefit) -> list[Refitted]:
    """Return the models of a configuration that were trained on train alone, a seed each."""
    name = refit.config.config_id
    return [
        Refitted(
            seed_config(run, refit, result.seed),
            needed(run.folder, run.folder.refit_seed(name, result.seed) / BEST),
            result,
        )
        for result in refit.completed
    ]


def choose_combination(
    run: RunRecord,
    winner: Chosen,
    dataset: PreparedDataset,
    validation: Validation,
    predictor: Predictor,
    views: tuple[str, ...],
) -> Choice:
    """Judge every way to use the refitted models on the validation images, and choose.

    Args:
        run: the run.
        winner: the configuration that is tested; trained on train alone.
        dataset: its prepared dataset; the held-out split is not opened.
        validation: its validation images, with what models predict for them.
        predictor: loads models.
        views: kinds of views to try, ``none`` first.
    """
    card, split = dataset.card, validation.split
    name = winner.refit.config.config_id
    members: list[Refitted] = []
    predicted, left_out = [], []
    for refit in run.refits:
        for model in refitted(run, refit):
            try:
                each = validation.predictions(model.settings, model.file, model.result, views)
            except UserError as error:
                if refit.config.config_id == name:
                    raise
                left_out.append(f"{refit.config.config_id} seed {model.result.seed}: {error}")
                continue
            members.append(model)
            predicted.append(each)
    own = [place for place, model in enumerate(members) if model.result.config_id == name]
    groups = sampled_groups(card, split.groups)
    judge = Judge(run.aim, split.labels, groups)
    seeds = [members[place] for place in own]
    averaged: dict[str, NDArray[np.float32]] = {}
    taken: list[int] = []
    if why := _not_averaged(seeds):
        left_out.append(why)
    else:
        soup = Soup(
            averaged_folder(run, name),
            [model.settings for model in seeds],
            [model.file for model in seeds],
            [model.result.seed for model in seeds],
        )
        values = [run.aim.signed(value) for value in winner.refit.values]
        taken, averaged = soup.predictions(predictor, dataset.train(), split, judge, values, views)
        if len(taken) < 2:
            averaged = {}
            left_out.append("averaged weights: averaging the best seed with any other made it worse")
    library = Library(
        split.labels,
        {kind: np.stack([each[kind] for each in predicted]) for kind in views},
        own,
        averaged,
        groups,
    )
    found = choose(library, run.aim)
    return Choice(
        aim=run.objective,
        images=len(split),
        groups=len(set(groups)) if groups else 0,
        combinations=[_combination(run, way, members, name, taken) for way in found.ways],
        chosen=found.chosen,
        gain=found.gain,
        margin=found.margin,
        left_out=left_out,
    )


def _not_averaged(seeds: list[Refitted]) -> str:
    """Return why no weights are averaged; empty where they are."""
    settings = seeds[0].settings
    if not (settings.pretrained or settings.weights):
        return (
            "averaged weights: not tried, as each seed began at random weights of its own, and no earlier checkpoints "
            "of a training are kept"
        )
    return "" if len(seeds) > 1 else "averaged weights: not tried, as there is one seed"


def _combination(run: RunRecord, way: Way, members: list[Refitted], name: str, taken: list[int]) -> Combination:
    if way.kind == "soup":
        shares = [
            (model, 1 / len(taken))
            for model in members
            if model.result.config_id == name and model.result.seed in taken
        ]
    else:
        shares = [(model, float(share)) for model, share in zip(members, way.shares, strict=True) if share > 0]
    return Combination(
        kind=way.kind,
        views=way.views,
        members=[Member(config_id=m.result.config_id, seed=m.result.seed, share=share) for m, share in shares],
        passes=way.passes,
        value=run.aim.signed(way.value),
        gain=way.gain,
        margin=way.margin,
    )
