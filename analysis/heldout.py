"""The held-out split: opened once for the winner, on record; the only module that calls `open_test`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from analysis.run import ConfigRefit, Run
from analysis.scores import TestResult, score
from fer_tune import __version__
from fer_tune.config import TrialConfig, trial_config
from fer_tune.data.store import PreparedDataset, Split
from fer_tune.errors import UserError
from fer_tune.run_folder import replacing, write_json

Load = Callable[..., Any]
"""`fer_tune.training.evaluation.load_model`, or a stand-in with its signature."""
Predict = Callable[..., NDArray[Any]]
"""`fer_tune.training.evaluation.predict`, or a stand-in with its signature."""


@dataclass(frozen=True)
class Selection:
    """The configuration that is tested, and how it was chosen, in words."""

    winner: ConfigRefit
    words: str


def select_winner(run: Run) -> Selection:
    """Return the refitted configuration with the best mean validation accuracy over its seeds.

    Every planned seed must have ended.  A configuration with failed seeds is compared on the seeds it has when these
    are more than half of those planned, and the words say so; with fewer it is left out.  Ties go to the better
    validation accuracy in the search, then to the name.

    Raises:
        UserError: nothing is refitted, seeds are missing, or too many failed in every configuration.
    """
    plan = run.folder.refit_plan()
    refits = run.refits
    missing = sum(len(refit.missing) for refit in refits)
    again = f"`fer-tune refit {run.folder.path}`"
    if missing:
        total = len(plan.seeds) * len(refits)
        raise UserError(f"{run.folder.path}: {missing} of {total} refits have not ended; go on with {again} first")
    able = [refit for refit in refits if 2 * len(refit.completed) > len(plan.seeds)]
    if not able:
        raise UserError(
            f"{run.folder.path}: in every configuration at least half of the seeds failed, so none can be chosen; "
            f"see error.txt in {run.folder.refit_file.parent}/*/seed_*, then try them again with {again}"
        )
    winner = min(able, key=lambda r: (-r.mean, -r.config.search_val_accuracy, r.config.config_id))
    if len(refits) == 1:
        words = f"the only refitted configuration, {len(winner.completed)} seeds"
    else:
        words = f"best mean validation accuracy over seeds among {len(refits)} refitted configurations"
    flawed = [refit for refit in refits if refit.failed]
    if flawed:
        told = (f"{r.config.config_id}: {len(r.completed)} of {len(plan.seeds)} seeds" for r in flawed)
        words += "; compared on fewer seeds, as the others failed (left out when half or more did): " + ", ".join(told)
    return Selection(winner, words)


def open_dataset(run: Run, path: Path | None = None) -> PreparedDataset:
    """Open the run's dataset, at ``path`` if it was moved, and check that its content is the run's.

    Raises:
        UserError: there is no dataset, or its content differs.
    """
    expected = run.settings.dataset
    data = PreparedDataset.open(path or expected.path)
    if data.card.content_hash != expected.content_hash:
        raise UserError(
            f"{data.path}: not the dataset of this run: its content hash is {data.card.content_hash[:12]}, the run's "
            f"is {expected.content_hash[:12]} ({expected.name}); name the right one with --data"
        )
    return data


def run_test(
    run: Run,
    *,
    data: Path | None = None,
    again: bool = False,
    why: str | None = None,
    load: Load | None = None,
    predict: Predict | None = None,
    device: str | None = None,
) -> TestResult:
    """Evaluate the winner on the held-out split, once, and record it.

    All that can fail without the split is checked first; then the opening is written to the ledger; then the split is
    opened.  So no opening goes unrecorded, and a mistake in a path costs none.

    Args:
        run: the run.
        data: where the dataset is now, if it was moved.
        again: allow another opening; it is counted.
        why: the reason to note in the ledger.
        load: stand-in for `fer_tune.training.evaluation.load_model`.
        predict: stand-in for `fer_tune.training.evaluation.predict`.
        device: a torch device; a GPU if there is one.

    Raises:
        UserError: no winner can be chosen, the dataset is another one, a model is missing, or the split was opened
            before and ``again`` is false.
    """
    selection = select_winner(run)
    before = run.openings
    if before and not again:
        raise UserError(_opened_before(run, before))
    dataset = open_dataset(run, data)
    if load is None or predict is None:
        from fer_tune.training import evaluation

        load, predict = load or evaluation.load_model, predict or evaluation.predict
    if device is None:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    winner = selection.winner
    config = winner.config
    seeds = [result.seed for result in winner.completed]
    checkpoints = [run.folder.refit_seed(config.config_id, seed) / "best.safetensors" for seed in seeds]
    settings = [_seed_config(run, winner, seed) for seed in seeds]
    for file, each in zip(checkpoints, settings, strict=True):
        if not file.is_file():
            raise UserError(f"{file}: missing; remove {file.parent} and train it again with `fer-tune refit`")
        load(each, dataset.card, file, device)  # a model that does not load must not cost an opening

    when = datetime.now(UTC).isoformat(timespec="seconds")
    opening = {
        "when": when,
        "what": config.config_id,
        "seeds": seeds,
        "why": why or ("first reading" if not before else "asked for with --again"),
        "opening": len(before) + 1,
        "dataset": dataset.card.name,
        "split_hash": dataset.card.split_hashes["test"],
        "content_hash": dataset.card.content_hash,
        "fer_tune": __version__,
    }
    _append(run.folder.ledger_file, opening)
    split = dataset.open_test()
    probabilities = np.stack(
        [
            predict(load(each, dataset.card, file, device), split, dataset.card, device)
            for file, each in zip(checkpoints, settings, strict=True)
        ]
    )
    scores = score(split.labels, probabilities, dataset.card.classes, seeds)
    result = TestResult(
        **scores.model_dump(),
        config_id=config.config_id,
        backbone=config.backbone,
        origin=config.origin,
        config=config.config,
        when=when,
        opening=len(before) + 1,
        selection=selection.words,
        dataset=dataset.card.name,
        content_hash=dataset.card.content_hash,
        split_hash=dataset.card.split_hashes["test"],
        fer_tune=__version__,
    )
    folder = run.folder.test(config.config_id)
    write_predictions(folder / "predictions.parquet", split, probabilities, dataset.card.classes, seeds)
    write_json(result, folder / "metrics.json")
    return result


def write_predictions(
    target: Path, split: Split, probabilities: NDArray[Any], classes: list[str], seeds: list[int]
) -> None:
    """Write a row per seed and image: source, label (a class name), seed, p_<class> for each class.

    Args:
        target: the parquet file.
        split: N images.
        probabilities: (S, N, C), a block per seed.
        classes: the C names.
        seeds: the S seeds.
    """
    count = len(split)
    names = pa.DictionaryArray.from_arrays(pa.array(np.tile(split.labels, len(seeds)), type=pa.int32()), classes)
    columns = {
        "source": pa.array(split.sources * len(seeds), type=pa.string()),
        "label": names,
        "seed": pa.array(np.repeat(seeds, count), type=pa.int64()),
    }
    flat = probabilities.reshape(-1, len(classes)).astype(np.float32)
    columns |= {f"p_{name}": pa.array(flat[:, i]) for i, name in enumerate(classes)}
    with replacing(target) as temporary:
        pq.write_table(pa.table(columns), temporary)


def _seed_config(run: Run, refit: ConfigRefit, seed: int) -> TrialConfig:
    epochs = run.folder.refit_plan().epochs
    values = {**refit.config.config, "backbone": refit.config.backbone, "epochs": epochs, "seed": seed}
    return trial_config(values, f"{run.folder.refit_file}: {refit.config.config_id}")


def _opened_before(run: Run, openings: list[dict[str, Any]]) -> str:
    last = openings[-1]
    file = run.folder.test(last["what"]) / "metrics.json"
    result = f"its result is in {file}" if file.is_file() else "it left no result"
    times = "once" if len(openings) == 1 else f"{len(openings)} times"
    return (
        f"{run.folder.path}: the held-out split was opened {times}, last on {last['when']} for {last['what']}; "
        f"{result}.\n"
        "A split that is read until the number pleases is a validation split. "
        f"To read it once more, counted in the report: `fer-tune test {run.folder.path} --again`"
    )


def _append(ledger: Path, line: dict[str, Any]) -> None:
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())  # on record before the split is read, whatever happens next
