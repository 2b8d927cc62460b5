"""Several published experiments side by side: a Ray task each, on this machine or on the cluster that was joined."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from analysis.published.experiment import Experiment, claim, conclude

ATTEMPTS = 2  # a task whose process or node dies is tried again, from its last checkpoint


def train_together(
    experiments: list[Experiment], data: str, cpus: float | None, gpus: float | None
) -> Generator[tuple[Experiment, dict[str, Any]], None, None]:
    """Train each experiment where there is room; yield it as it ends, with its result or the ``error`` in its place.

    Args:
        experiments: each in a folder of its own, that every node sees.
        data: where the prepared dataset is, the same on every node.
        cpus: of one, and its threads; None: as for a trial of a search.
        gpus: of one; None: one where Ray has any.

    Raises:
        UserError: more is asked for than there is.
    """
    import ray

    from fer_tune.search.cluster.hardware import Resources
    from fer_tune.search.cluster.ray_session import ray_session

    with ray_session(gpus=gpus) as joined:
        each = Resources.choose(cpus, gpus, 1, None, joined=joined)
        task = ray.remote(num_cpus=each.cpus, num_gpus=each.gpus, max_retries=ATTEMPTS)(_train)
        device, threads = "cuda" if each.gpus else "cpu", max(1, int(each.cpus))
        # a task begins in a folder of Ray's, so its own must be named from the root
        running = {
            task.remote(replace(one, folder=one.folder.resolve()), data, device, threads): one for one in experiments
        }
        try:
            while running:
                done, _ = ray.wait(list(running), num_returns=1)
                for reference in done:
                    one = running.pop(reference)
                    try:
                        yield one, ray.get(reference)
                    except ray.exceptions.RayError as error:
                        cause = getattr(error, "cause", None) or error
                        yield one, {"error": f"{type(cause).__name__}: {cause}".strip().splitlines()[0]}
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _train(experiment: Experiment, data: str, device: str, threads: int) -> dict[str, Any]:
    """Train one experiment in a process of Ray's."""
    import torch

    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.training.loop import train
    from fer_tune.training.memory.leftover import clean_up

    torch.set_num_threads(threads)
    dataset = PreparedDataset.open(data)
    claim(experiment, dataset)
    try:
        outcome = train(experiment.config, dataset, experiment.folder, device=device)
    finally:
        clean_up()
    return conclude(experiment, outcome, len(dataset.val()))
