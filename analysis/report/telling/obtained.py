"""How the figures of a report were obtained: search, refits, test, data, versions, machine; as (name, text)."""

from __future__ import annotations

from itertools import starmap
from typing import Any, get_args

from analysis.report.telling.exported import exported
from analysis.report.telling.findings import Standing, chosen
from analysis.run import RunRecord
from analysis.run.cards import dataset_card
from analysis.run.openings import Openings
from analysis.trials.early_judgement import scheduler_words
from analysis.words import duration, unit
from fer_tune.amounts import amount
from fer_tune.data.preparing.summary import hygiene_sentences
from fer_tune.run_folder import Status

_UNITS = {"cpus": ("CPU", "CPUs"), "gpus": ("GPU", "GPUs"), "nodes": ("node", "nodes")}


def judged(run: RunRecord) -> str:
    """Return what a run judges by, with its unit."""
    return f"{run.aim.meaning} in {unit(run.aim)}"


def how(run: RunRecord, stand: Standing, known: Openings) -> list[tuple[str, str]]:
    """Return how the figures were obtained, as (name, text)."""
    settings = run.settings
    status = [row["status"] for row in run.rows]
    parts = [f"{status.count(name)} {name.replace('_', ' ')}" for name in get_args(Status) if name in status]
    spent = sum(row["seconds"] or 0 for row in run.rows)
    budget = f"{amount(settings.trials, 'trial')} for each of {', '.join(settings.backbones)}"
    budget += f", {amount(settings.epochs, 'epoch')} at most"
    budget += f"; {len(run.rows)} started ({', '.join(parts)}), {duration(spent)} of training in all"
    if settings.time_budget_seconds:
        budget += f"; stopped after {amount(round(settings.time_budget_seconds / 60), 'minute')}"
    for entry in settings.resumed:
        changed = ", ".join(_asked(name, value) for name, value in entry.changed.items())
        budget += f"; changed on {entry.when[:10]}: {changed}"
    found = [
        ("judged by", judged(run)),
        ("search", budget),
        ("early stopping", scheduler_words(settings)),
        ("search seed", str(settings.seed)),
    ]
    plan, final = run.refit_plan, run.final_plan
    if plan is not None:
        seeds = ", ".join(map(str, plan.seeds))
        words = f"{amount(len(plan.configs), 'configuration')}, seeds {seeds}, {amount(plan.epochs, 'epoch')}"
        words += ", on the training split"
        own = [f"{config.origin} {config.epochs}" for config in plan.configs if config.epochs]
        words += f"; for the epochs of their papers: {', '.join(own)}" if own else ""
        found.append(("refits", words))
    if final is not None:
        told = ", ".join(f"{config.config_id} for {amount(config.stop_epoch, 'epoch')}" for config in final.configs)
        rule = "the median best epoch on train alone"
        if plan is not None and final.epochs != plan.epochs:
            rule += f", as a share of a schedule of {amount(final.epochs, 'epoch')}"
        words = f"on train and val together, the epoch fixed before as {rule}: {told}"
        found.append(("last training", words))
    if stand.test is not None:
        found += [("choice", chosen(stand)), ("intervals", stand.test.method)]
    reads = len(known.own)
    found.append(
        ("held-out split", "not read yet" if not reads else f"read {'once' if reads == 1 else f'{reads} times'}")
    )
    found.append(("dataset", f"{settings.dataset.name}, content {settings.dataset.content_hash[:16]}"))
    card = dataset_card(run)
    if card is None:
        found.append(("data hygiene", "unknown here: the prepared dataset is not where the run found it"))
    else:
        counts = ", ".join(f"{card.images(split):,} {split}" for split in card.counts)
        found.append(("images", counts))
        found += [_named(line) for line in hygiene_sentences(card)]
    if told := exported(run, stand):
        found.append(("exported", told))
    versions = [f"{name} {version}" for name, version in settings.versions.items()]
    found.append(("versions", ", ".join(versions) or "not known"))
    if stand.test is not None and stand.test.commit not in ("", settings.versions.get("commit")):
        found.append(("tested at", f"commit {stand.test.commit}, fer-tune {stand.test.fer_tune}"))
    found.append(("hardware", ", ".join(starmap(_hardware, settings.hardware.items())) or "not known"))
    return found


def _asked(name: str, value: Any) -> str:
    if name == "data":
        return "data moved"  # to a place on somebody's machine
    told = " ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {told}"


def _hardware(name: str, value: str) -> str:
    """Return one fact of a machine with its unit: ``2 CPUs``, ``14 GiB of memory``."""
    if name == "memory_gib":
        return f"{value} GiB of memory"
    if name in _UNITS:
        number, _, kind = value.partition(" ")
        return f"{number} {_UNITS[name][number != '1']}" + (f" ({kind})" if kind else "")
    return value if name == "machine" else f"{name}: {value}"


def _named(line: str) -> tuple[str, str]:
    name, colon, text = line.partition(": ")
    return (name, text) if colon else ("data", line)
