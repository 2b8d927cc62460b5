"""The searcher: one Optuna study per backbone behind Ray Tune's interface, in a journal that only the driver writes.

Ray's own OptunaSearch tells a trial that ASHA stopped as COMPLETE, drops its last value, leaves a trial with NaN
running for ever and fails the experiment when the study is ahead of Tune's snapshot (measured with Ray 2.60 and
Optuna 5.0).  Here stopped trials are PRUNED with all their values, failed ones FAIL, and a resume reconciles.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from fer_tune.run_folder import Candidate, Sampler
from fer_tune.search.samplers import make_sampler
from fer_tune.search.scheduler import METRIC
from fer_tune.search.space import SearchSpace, origin
from fer_tune.storage.moved import where_now
from fer_tune.storage.runs import store_of


def open_studies(file: Path, backbones: list[str], seed: int, sampler: Sampler = "tpe") -> dict[str, optuna.Study]:
    """Open the study of every backbone in the journal ``file``, making those that are not there.

    The sampler's random numbers go on from the number of trials already drawn.
    """
    storage = JournalStorage(JournalFileBackend(str(file)))
    studies = {}
    for index, backbone in enumerate(backbones):
        study = optuna.create_study(study_name=backbone, storage=storage, direction="maximize", load_if_exists=True)
        study.sampler = make_sampler(sampler, seed + 1_000 * index + len(study.get_trials(deepcopy=False)))
        studies[backbone] = study
    return studies


class StudySearcher(Searcher):
    """Suggests trials to Tune from one study per backbone, taking turns; published configurations come first.

    Args:
        spaces: backbone -> its space.
        first: backbone -> configurations to try before anything is drawn.
        trials: trials per backbone.
        epochs: most epochs of one trial.
        seed: of the samplers, and of every trial's training.
        journal: the journal file.
        sampler: what draws, see :func:`make_sampler`.
    """

    def __init__(
        self,
        spaces: dict[str, SearchSpace],
        first: Mapping[str, Sequence[Candidate]],
        trials: int,
        epochs: int,
        seed: int,
        journal: Path,
        sampler: Sampler = "tpe",
    ) -> None:
        super().__init__(metric=METRIC, mode="max")
        self._sampler = sampler
        self._spaces, self._trials, self._epochs, self._seed, self._journal = spaces, trials, epochs, seed, journal
        self._suggested = dict.fromkeys(spaces, 0)
        self._numbers: dict[str, tuple[str, int]] = {}  # Tune's trial id -> backbone, Optuna's trial number
        self._told: dict[str, int] = {}  # Tune's trial id -> last epoch told
        self._studies: dict[str, optuna.Study] | None = open_studies(journal, list(spaces), seed, sampler)
        for backbone, entries in first.items():
            for entry in entries:
                spaces[backbone].enqueue(self._studies[backbone], entry)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a string
        """Return the settings of a new trial, or FINISHED once every backbone has its number of trials."""
        backbone = min(self._suggested, key=lambda name: self._suggested[name])  # the first of those with fewest
        if self._suggested[backbone] >= self._trials:
            return str(Searcher.FINISHED)
        trial = self._study(backbone).ask()
        settings = self._spaces[backbone].suggest(trial)
        trial.set_user_attr("trial_id", trial_id)
        self._suggested[backbone] += 1
        self._numbers[trial_id] = (backbone, trial.number)
        return {**settings, "backbone": backbone, "epochs": self._epochs, "seed": self._seed, "origin": origin(trial)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an epoch to the study, once."""
        epoch, value = int(result.get("epoch", 0)), float(result.get(METRIC, math.nan))
        if epoch <= self._told.get(trial_id, 0) or not math.isfinite(value):
            return
        backbone, number = self._numbers[trial_id]
        trial = self._open_trial(backbone, number)
        if trial is not None:
            trial.report(value, epoch)
        self._told[trial_id] = epoch

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how a trial ended: FAIL, PRUNED if ASHA stopped it, else COMPLETE with its best value."""
        if trial_id not in self._numbers:
            return
        backbone, number = self._numbers[trial_id]
        result = result or {}
        if not error and result:
            self.on_trial_result(trial_id, result)  # Tune does not pass a trial's last result to the searcher
        if self._open_trial(backbone, number) is None:
            return  # the study was ahead of Tune's snapshot
        value = float(result.get(METRIC, math.nan))
        study = self._study(backbone)
        if error or result.get("error") or not math.isfinite(value):
            study.tell(number, state=TrialState.FAIL)
        elif result.get("finished"):
            study.tell(number, value)
        else:
            study.tell(number, state=TrialState.PRUNED)

    def save(self, checkpoint_path: str) -> None:
        """Write what Tune's snapshot needs.

        Of a run in a store that is the journal too: the copy of it there may be some seconds older than the snapshot.
        """
        state: dict[str, Any] = {"suggested": self._suggested, "numbers": self._numbers, "told": self._told}
        if store_of(self._journal.parent):
            state["journal_lines"] = self._journal.read_bytes()
        Path(checkpoint_path).write_bytes(pickle.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """Go on from a snapshot; trials that the study started after it are failed, published ones tried again."""
        state = pickle.loads(Path(checkpoint_path).read_bytes())
        lines = state.pop("journal_lines", b"")
        if len(lines) > (self._journal.stat().st_size if self._journal.is_file() else 0):
            self._journal.write_bytes(lines)
            self._studies = None  # to be read anew
        self._suggested, self._numbers, self._told = state["suggested"], state["numbers"], state["told"]
        for backbone, space in self._spaces.items():
            known = {number for name, number in self._numbers.values() if name == backbone}
            study = self._study(backbone)
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if trial.number not in known:
                    study.tell(trial.number, state=TrialState.FAIL)
                    space.enqueue_again(study, trial)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_studies": None}  # opened again from the journal where it is unpickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._journal = where_now(self._journal.parent) / self._journal.name

    def _study(self, backbone: str) -> optuna.Study:
        if self._studies is None:
            self._studies = open_studies(self._journal, list(self._spaces), self._seed, self._sampler)
        return self._studies[backbone]

    def _open_trial(self, backbone: str, number: int) -> optuna.Trial | None:
        study = self._study(backbone)
        frozen = study.get_trials(deepcopy=False)[number]
        return None if frozen.state.is_finished() else optuna.Trial(study, frozen._trial_id)
