"""One published experiment on one dataset: its settings, its folder, and what it came to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.statistics.uncertainty.intervals import wilson
from fer_tune.config import TrialConfig
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.run_folder import Published
from fer_tune.search.spaces.published import as_published, find_published, shipped_published, system
from fer_tune.search.spaces.space import SearchSpace

if TYPE_CHECKING:
    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.training.loop import Outcome

FOLDER = Path("runs/published")
"""Where experiments are trained, a folder each, where no other is named."""


@dataclass(frozen=True)
class Experiment:
    """A published configuration, as it is trained here."""

    entry: Published
    config: TrialConfig
    folder: Path


def experiments(
    names: list[str], dataset: str, out: Path | None, *, everything: bool = False, **changes: Any
) -> list[Experiment]:
    """Return the experiments that are asked for, in the order of their names, each in its folder.

    Args:
        names: experiments (``ostim-2024/resnet50``, or what stands after the slash where that is one alone), or systems
            (``ostim-2024``), of which those for ``dataset`` are taken, or all where it has none for it.
        dataset: name of the prepared dataset.
        out: the folder of a single experiment, or that in which several have theirs.
        everything: take all experiments for ``dataset``.
        changes: settings in place of the published ones; None leaves one as it is.

    Raises:
        UserError: there is no such experiment or system, or nothing is asked for; a change breaks a bound.
    """
    if everything and names:
        raise UserError(f"--all and {', '.join(names)}: one of them")
    known = shipped_published()
    chosen: dict[str, tuple[SearchSpace, Published]] = {}
    for name in names:
        own = [pair for pair in known if system(pair[1]) == name]
        pairs = _for_dataset(own, dataset) if own else [find_published(name)]
        chosen |= {entry.name: (space, entry) for space, entry in pairs}
    if everything:
        chosen = {entry.name: (space, entry) for space, entry in _for_dataset(list(known), dataset)}
    if not chosen:
        raise UserError("name experiments or systems of `fer-tune published list`, or ask for --all")
    alone = len(chosen) == 1 and not everything
    found = []
    for name, (space, entry) in sorted(chosen.items()):
        plain = name.replace("/", "-")
        folder = out if out is not None and alone else (out or FOLDER) / plain
        found.append(Experiment(entry, as_published(space, entry, **changes), folder.expanduser()))
    return found


def _for_dataset(pairs: list[tuple[SearchSpace, Published]], dataset: str) -> list[tuple[SearchSpace, Published]]:
    return [pair for pair in pairs if pair[1].dataset == dataset] or pairs


def check_start(experiment: Experiment, dataset: PreparedDataset) -> str:
    """Build the network once, before anything is written: what it starts from is there; return how much of it fits.

    Raises:
        UserError: the weights cannot be had, or fit in nothing.
    """
    from fer_tune.models import load_weights
    from fer_tune.training.evaluation import build_model
    from fer_tune.training.starting_weights import on_this_machine

    config = experiment.config
    if config.weights is None:
        build_model(config, dataset.card)
        if config.freeze_depth and not config.pretrained:
            return f"note: {config.freeze_depth} stages are frozen at random weights, so they learn nothing"
        return ""
    fresh = config.model_copy(update={"weights": None, "pretrained": False})
    file = on_this_machine(config.weights, config.backbone)
    report = load_weights(build_model(fresh, dataset.card), file, config.backbone, dataset.card.classes)
    return str(report)


def claim(experiment: Experiment, dataset: PreparedDataset) -> None:
    """Write what the folder is a run of; the same experiment goes on in it.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    record = {
        "name": experiment.entry.name,
        "dataset": dataset.card.name,
        "content_hash": dataset.card.content_hash,
        "config": experiment.config.model_dump(mode="json"),
    }
    folder = experiment.folder
    file = folder / "published.json"
    if file.is_file():
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise UserError(f"{file}: damaged; choose another --out, or remove the folder") from None
        if before != record:
            raise UserError(f"{folder}: holds a run with other settings or data; choose another --out, or remove it")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not a run of `fer-tune published run`; choose another --out")
    try:
        write_json(record, file)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None


def conclude(experiment: Experiment, outcome: Outcome, images: int) -> dict[str, Any]:
    """Write ``result.json`` and return it: the best validation accuracy with Wilson's 95 % interval over ``images``."""
    accuracy = outcome.val_accuracy
    interval = wilson(round(accuracy * images), images)
    result = {
        "name": experiment.entry.name,
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "best_val_accuracy": accuracy,
        "interval": [interval.low, interval.high],
        "seconds": outcome.seconds,
        "reason": outcome.reason,
        "reported": experiment.entry.reported,
    }
    write_json(result, experiment.folder / "result.json")
    return result
