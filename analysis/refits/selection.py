"""Which refitted configurations are tested: the winner by validation, and those that it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.run import ConfigRefit, RunRecord
from fer_tune.amounts import amount
from fer_tune.errors import UserError
from fer_tune.run_folder import TrainedOn

Role = Literal["winner", "published", "searched"]


@dataclass(frozen=True)
class Selection:
    """The configuration that wins, and how it was chosen, in words."""

    winner: ConfigRefit
    words: str


@dataclass(frozen=True)
class Chosen:
    """A configuration to be tested; ``refit`` holds the models that are, trained on ``trained_on``."""

    refit: ConfigRefit
    role: Role
    words: str
    trained_on: TrainedOn = "train"


def select_winner(run: RunRecord) -> Selection:
    """Return the refitted configuration with the best mean over its seeds of what the run judges by.

    One that had the epochs of its paper, and so another budget, is compared with the winner and cannot be it.

    Every planned seed must have ended.  A configuration with failed seeds is compared on the seeds it has when these
    are more than half of those planned, and the words say so; with fewer it is left out.  Ties go to the better
    value in the search, then to the name.

    Raises:
        UserError: nothing is refitted, seeds are missing, or too many failed in every configuration.
    """
    plan = run.folder.refit_plan()
    refits = run.refits
    missing = sum(len(refit.missing) for refit in refits)
    again = f"`fer-tune refit {run.quoted}`"
    if missing:
        total = len(plan.seeds) * len(refits)
        raise UserError(f"{run.place}: {missing} of {total} refits have not ended; go on with {again} first")
    able = _able(_same_budget(refits), len(plan.seeds))
    if not able:
        raise UserError(
            f"{run.place}: in every configuration at least half of the seeds failed, so none can be chosen; "
            f"see error.txt in {run.folder.refit_file.parent}/*/seed_*, then try them again with {again}"
        )
    winner = able[0]
    if len(_same_budget(refits)) == 1:
        words = f"the only refitted configuration, {amount(len(winner.completed), 'seed')}"
    else:
        words = f"best mean {run.aim.meaning} over seeds among {len(_same_budget(refits))} refitted configurations"
    flawed = [refit for refit in refits if refit.failed]
    if flawed:
        told = (f"{r.config.config_id}: {len(r.completed)} of {len(plan.seeds)} seeds" for r in flawed)
        words += "; compared on fewer seeds, as the others failed (left out when half or more did): " + ", ".join(told)
    return Selection(winner, words)


def best_refit(run: RunRecord, backbone: str) -> ConfigRefit | None:
    """Return the configuration of ``backbone`` with the best mean so far, by the rule of `select_winner`.

    Refits that are still missing count like failed ones.  None where no configuration has more than half of its seeds.
    """
    plan = run.refit_plan
    able = [] if plan is None else _able(_same_budget(run.refits), len(plan.seeds))
    return next((refit for refit in able if refit.config.backbone == backbone), None)


def select_candidates(run: RunRecord) -> list[Chosen]:
    """Return what is to be tested: the winner first, then what it is compared with, all named before the test.

    Beside the winner stand the published configurations that were refitted and, where a published one wins, the best
    searched one.

    Raises:
        UserError: see `select_winner`.
    """
    selection = select_winner(run)
    winner = selection.winner.config
    chosen = [Chosen(selection.winner, "winner", selection.words)]
    others = [
        r for r in _able(run.refits, len(run.folder.refit_plan().seeds)) if r.config.config_id != winner.config_id
    ]
    names = run.published_names
    words = "published configuration of this run, refitted beside the winner"
    for refit in others:
        if refit.config.origin in names:
            own = refit.config.epochs
            budget = f", for the {amount(own, 'epoch')} of its paper" if own else ""
            chosen.append(Chosen(refit, "published", f"{words}{budget}"))
    if winner.origin in names:
        words = "the best searched configuration, behind a published one"
        searched = [refit for refit in others if refit.config.origin not in names]
        chosen += [Chosen(refit, "searched", words) for refit in searched[:1]]
    return chosen


def select_models(run: RunRecord) -> list[Chosen]:
    """Return `select_candidates` with the models that are tested: those on train and val together, where planned.

    Where only the winner was to be trained so, it is tested alone: rivals that learnt from fewer images would lose for
    that.

    Raises:
        UserError: see `select_winner`; or models on train and val are missing, or too many failed.
    """
    chosen = select_candidates(run)
    plan = run.final_plan
    if plan is None:
        return chosen
    if not plan.published:
        chosen = chosen[:1]
    finals = {refit.config.config_id: refit for refit in run.finals}
    again = f"`fer-tune refit {run.quoted} --on train+val`"
    lacking = [each.refit.config.config_id for each in chosen if each.refit.config.config_id not in finals]
    if lacking:
        raise UserError(f"{run.folder.final_file}: has no models of {', '.join(lacking)}; train them with {again}")
    replaced = []
    for each in chosen:
        final = finals[each.refit.config.config_id]
        if final.missing:
            raise UserError(
                f"{run.place}: {len(final.missing)} models on train and val together have not ended; "
                f"go on with {again} first"
            )
        if not _enough(final, len(plan.seeds)):
            raise UserError(
                f"{final.config.config_id}: half or more of its models on train and val failed; see error.txt in "
                f"{run.folder.refit_file.parent / final.config.config_id}/train_val/seed_*, then {again}"
            )
        replaced.append(Chosen(final, each.role, each.words, "train+val"))
    return replaced


def _able(refits: list[ConfigRefit], seeds: int) -> list[ConfigRefit]:
    """Return the configurations with more than half of their seeds, the best mean first."""
    able = [refit for refit in refits if _enough(refit, seeds)]
    return sorted(able, key=lambda r: (-r.key, -r.aim.key(r.config.search_value), r.config.config_id))


def _same_budget(refits: list[ConfigRefit]) -> list[ConfigRefit]:
    return [refit for refit in refits if refit.config.epochs is None]


def _enough(refit: ConfigRefit, seeds: int) -> bool:
    return 2 * len(refit.completed) > seeds
