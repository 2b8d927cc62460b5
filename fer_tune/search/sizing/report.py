"""What a search would take, told on a terminal with the reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_tune.amounts import amount
from fer_tune.search.cluster.node_labels import told

if TYPE_CHECKING:
    from fer_tune.search.options import SearchOptions
    from fer_tune.search.sizing.estimate import Estimate
    from fer_tune.training.probing.probe import Probe


def report(estimate: Estimate) -> str:
    """Return the estimate as text for a terminal."""
    options, resources = estimate.options, estimate.resources
    trials = ", ".join(f"{cost.trials} of {cost.backbone}" for cost in estimate.costs)
    rows = [
        ("trials", f"{estimate.trials}: {trials}"),
        ("at a time", _how_many(estimate)),
        ("each trial", _why_so_much(estimate)),
        ("epochs", _why_so_long(estimate)),
    ]
    for cost in estimate.costs:
        shown = "; ".join(
            f"{_clock(probe.epoch_seconds)} at batch {probe.batch_size}, {probe.image_size} px" for probe in cost.probes
        )
        rows.append((f"an epoch of {cost.backbone}", shown if estimate.comparable else "-"))
        if estimate.comparable and (once := [probe for probe in cost.probes if probe.features.seconds(1)]):
            rows.append((f"features of {cost.backbone}", "; ".join(map(_computed_once, once))))
    if estimate.comparable:
        at_once = min(resources.at_once, estimate.trials)
        open_ended = f" with {at_once} at a time" if resources.concurrent is None else ""
        rows.append(("time", f"about {_clock(estimate.seconds)}" + open_ended + _budget(options)))
        if resources.gpus:
            rows.append(("GPU hours", f"about {estimate.gpu_hours:.1f}"))
    else:
        rows.append(("time", "unknown: trials get GPUs, and this machine has none to time steps on; run it on a node"))
    rows.append(("storage", f"up to {_size(estimate.kept_bytes + estimate.running_bytes)}: {_what_is_kept(estimate)}"))
    width = max(len(name) for name, _ in rows)
    told = [f"{name:{width}}  {text}" for name, text in rows]
    told += estimate.told
    told.append(
        f"Steps timed alone on this machine's {'GPU' if estimate.device == 'cuda' else 'CPU'}, nothing frozen; trials "
        "side by side slow each other down where they share memory or cores. Not counted: some ten seconds until Ray "
        "and its workers are up, and 0.1 s between two trials, as measured on 2 cores. Nothing was started."
    )
    return "\n".join(told)


def _computed_once(probe: Probe) -> str:
    """Return what features take, such as ``1 min for each of 4 views at 96 px, once in a trial``."""
    features = probe.features
    views = f" for each of {features.views} views" if features.views > 1 else ""
    often = "process, for its trials start from the same" if features.lasting else "trial"
    return f"{_clock(features.seconds(1))}{views} at {probe.image_size} px, once in a {often}"


def _how_many(estimate: Estimate) -> str:
    options, resources = estimate.options, estimate.resources
    what = amount(estimate.cpus, "CPU")
    if resources.gpus:
        what = f"{amount(estimate.gpus, 'GPU')} and {what}"
    if options.node_labels:
        what += f" with {told(options.node_labels)}"
    if resources.concurrent is None:
        now = f"{resources.fits} now, on {what}" if resources.fits else f"none now: no node of {what} has room for one"
        return f"as many as fit, from moment to moment: {now}"
    if estimate.trials < resources.concurrent:
        return f"{estimate.trials}, all of them"
    if resources.concurrent == options.concurrent:
        return f"{resources.concurrent}, as asked (--concurrent)"
    return f"{resources.concurrent}, as many as fit on {what}"


def _why_so_much(estimate: Estimate) -> str:
    options, resources = estimate.options, estimate.resources
    if options.cpus_per_trial is not None:
        cpus = "as asked"
    elif resources.gpus:
        cpus = "the share of a GPU, at most 8"
    else:
        cpus = "so that at most four trials run side by side" + (" on a node" if resources.concurrent is None else "")
    if options.gpus_per_trial is not None:
        gpus = "as asked"
    elif estimate.sharing.told and resources.gpus:
        gpus = estimate.sharing.told
    elif resources.gpus:
        gpus = "one, since Ray has GPUs" if estimate.gpus else "one, of the type asked for"
    else:
        gpus = "Ray has none"
        if resources.concurrent is None:
            gpus += " now; --gpus-per-trial would wait for them"
    workers = "" if resources.workers == 1 else f", for each of {resources.workers} workers"
    return f"{amount(resources.cpus, 'CPU')} ({cpus}), {amount(resources.gpus, 'GPU')} ({gpus}){workers}"


def _why_so_long(estimate: Estimate) -> str:
    options = estimate.options
    if options.scheduler == "none":
        return f"{options.epochs} per trial"
    if options.scheduler == "median":
        return f"{options.epochs} per trial at most: how many the median rule stops is not known before"
    return (
        f"{estimate.epochs:.1f} of {options.epochs} per trial on average: "
        f"ASHA lets one in {options.reduction_factor} go on after {min(options.grace_period, options.epochs)}, "
        "and so forth"
        + (f"; later in {options.brackets - 1} of its brackets" if options.brackets > 1 else "")
        + (f"; {options.random_share:.0%} of them at random and to the end" if options.random_share else "")
    )


def _budget(options: SearchOptions) -> str:
    return "" if options.time_budget_seconds is None else f" (at most {_clock(options.time_budget_seconds)}, as asked)"


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _what_is_kept(estimate: Estimate) -> str:
    kept = f"{_size(estimate.kept_bytes)} for the best weights of {amount(estimate.trials, 'trial')}"
    if not estimate.running_bytes:
        return f"{kept}, which are over before a checkpoint is due"
    return f"{kept}, and {_size(estimate.running_bytes)} for the checkpoints of those that run"


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
