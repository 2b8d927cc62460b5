"""Train published experiments as their papers did."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge
from typing_extensions import Doc

from fer_tune.door import Interrupted, door
from fer_tune.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from analysis.published.experiment import Experiment
    from fer_tune.data.prepared.store import PreparedDataset


@door
def run_published(
    names: Annotated[
        str | Sequence[str],
        Doc("Names of `fer-tune published list`, or of systems, such as ostim-2024: all of it for this dataset."),
    ] = (),
    *,
    data: Annotated[str | Path, Doc("A prepared dataset (from `fer-tune data prepare`).")],
    all: Annotated[bool, Doc("Every experiment that is published for this dataset.")] = False,
    epochs: Annotated[int | None, Doc("Most epochs, instead of the published ones."), Ge(1)] = None,
    out: Annotated[
        str | Path | None,
        Doc("Folder of the experiment, or that in which several have theirs; below runs/published if left out."),
    ] = None,
    weights: Annotated[
        str | None, Doc("Start from this file, or the best weights of this run folder; a path or a URI.")
    ] = None,
    pretrained: Annotated[bool | None, Doc("ImageNet weights, or none; as published if left out.")] = None,
    seed: Annotated[int, Doc("Of the initial weights, the batches and the augmentation."), Ge(0)] = 0,
    cpus_per_trial: Annotated[float | None, Doc("CPUs, and threads, of each of several."), Ge(0.1)] = None,
    gpus_per_trial: Annotated[float | None, Doc("GPUs of each of several, such as 0.5."), Ge(0)] = None,
) -> pd.DataFrame:
    """Train experiments as published, without a search; the test split is not read.

    One is trained in this process; several side by side through Ray, with one table at the end. The same command again
    goes on where it was stopped.

    Returns:
        A row per experiment: ``name``, ``backbone``, ``best_val_accuracy`` in [0, 1] with its 95 % interval ``low`` and
        ``high`` (Wilson, one seed), ``best_epoch``, ``epochs``, ``seconds``, ``error`` where it failed.

    Raises:
        UserError: whatever is wrong with any of them, before one is trained.
        Interrupted: Ctrl-C; what has ended is kept.
    """
    from analysis.published.experiment import check_start, experiments
    from fer_tune.console_table import table_console
    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.training.starting_weights import lasting

    dataset = PreparedDataset.open(data)
    dataset.verify()
    asked = [names] if isinstance(names, str) else list(names)
    changes: dict[str, Any] = {"epochs": epochs, "pretrained": pretrained, "seed": seed}
    found = experiments(asked, dataset.card.name, None if out is None else Path(out), everything=all, **changes)
    if weights is not None:
        found = [_starting(one, lasting(weights, one.config.backbone)) for one in found]
    words = [*asked, *(["--all"] if all else []), "--data", str(data), *(["--out", str(out)] if out else [])]
    console = table_console(soft_wrap=True)
    try:
        if len(found) == 1:
            results = _alone(found[0], dataset, console)
        else:
            faults = []
            for one in found:
                try:
                    check_start(one, dataset)
                except UserError as error:
                    faults.append(f"{one.entry.name}: {error}")
            if faults:
                raise UserError("\n".join([f"{len(faults)} of {len(found)} experiments cannot begin", *faults]))
            results = _together(found, dataset, console, cpus_per_trial, gpus_per_trial)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; go on with the same command: fer-tune published run {shlex.join(words)}") from None
    return _frame(found, results)


def _starting(experiment: Experiment, weights: str) -> Experiment:
    from dataclasses import replace

    config = experiment.config.model_copy(update={"weights": weights, "pretrained": False})
    return replace(experiment, config=config)


def _alone(one: Experiment, dataset: PreparedDataset, console: Console) -> dict[str, dict[str, Any]]:
    """Train an experiment in this process, an epoch a line."""
    import torch

    from analysis.published.experiment import check_start, claim, conclude
    from analysis.published.shown import print_end, print_entry, print_epoch
    from fer_tune.training.loop import train

    print_entry(one.entry, one.config, console)
    if dataset.card.name != one.entry.dataset:
        published = one.entry.dataset
        console.print(f"published for {published}; this is {dataset.card.name}, so its figures are not comparable")
    if told := check_start(one, dataset):
        console.print(told, markup=False)
    claim(one, dataset)
    console.print(f"\n{'epoch':>5} {'train loss':>10} {'train acc':>10} {'val loss':>9} {'val acc':>9} {'seconds':>8}")
    try:
        outcome = train(one.config, dataset, one.folder, on_epoch=lambda metrics, _: print_epoch(metrics, console))
    except torch.OutOfMemoryError as error:
        size = f"batch_size {one.config.batch_size}, images of {one.config.image_size or dataset.card.height} pixels"
        raise UserError(
            f"{one.entry.name}: out of memory at {size} ({error}); it needs a machine with more memory, for another "
            "batch size would be another experiment"
        ) from None
    result = conclude(one, outcome, len(dataset.val()))
    print_end(one, result, len(dataset.val()), console)
    return {one.entry.name: result}


def _together(
    found: list[Experiment], dataset: PreparedDataset, console: Console, cpus: float | None, gpus: float | None
) -> dict[str, dict[str, Any]]:
    """Train several through Ray, a line as each ends, and a table of all."""
    from contextlib import closing

    from analysis.published.experiment import claim
    from analysis.published.shown import line, table
    from analysis.published.together import train_together

    for one in found:
        claim(one, dataset)  # all of them, before any is trained
    if other := sorted({one.entry.dataset for one in found} - {dataset.card.name}):
        told = f"published for {', '.join(other)}; this is {dataset.card.name}, so their figures are not comparable"
        console.print(told)
    console.print(f"{len(found)} experiments, as published, one seed each")
    results: dict[str, dict[str, Any]] = {}
    with closing(train_together(found, dataset.location, cpus, gpus)) as endings:
        for one, result in endings:
            results[one.entry.name] = result
            console.print(line(one, result, len(results), len(found)), markup=False)
    console.print(table(found, results))
    return results


def _frame(found: list[Experiment], results: dict[str, dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for one in found:
        result = results.get(one.entry.name, {})
        low, high = result.get("interval", (None, None))
        kept = {key: result.get(key) for key in ("best_val_accuracy", "best_epoch", "epochs", "seconds", "error")}
        rows.append({"name": one.entry.name, "backbone": one.config.backbone, "low": low, "high": high, **kept})
    return pd.DataFrame(rows)
