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
from zlib import crc32

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from fer_tune.kinds import TOO_LARGE, Sampler, Scheduler
from fer_tune.objectives import ACCURACY, Aim, Objective
from fer_tune.run_folder import Candidate, EarlierSearch, RunFolder
from fer_tune.search.cluster.room import Room
from fer_tune.search.proposing.corrected import ended_otherwise
from fer_tune.search.proposing.grid import LOST, grid_trials
from fer_tune.search.proposing.informing import Informing
from fer_tune.search.proposing.objectives import told, value_of
from fer_tune.search.proposing.optuna_internals import forbid, mark, report
from fer_tune.search.proposing.samplers import blind_trials, make_sampler
from fer_tune.search.proposing.studies import open_studies
from fer_tune.search.spaces.space import AGAIN, SearchSpace, drawn_at_random, origin, was_drawn
from fer_tune.storage.moved import where_now


def planned_trials(
    spaces: Mapping[str, SearchSpace], first: Mapping[str, Sequence[Candidate]], trials: int, sampler: Sampler
) -> dict[str, int]:
    """Return backbone -> its number of trials: ``trials``, or fewer where a grid has no more points."""
    if sampler != "grid":
        return dict.fromkeys(spaces, trials)
    return {name: grid_trials(space, first.get(name, ()), trials) for name, space in spaces.items()}


class StudySearcher(Searcher):
    """Suggests trials to Tune from one study per backbone, taking turns; published configurations come first.

    Args:
        spaces: backbone -> its space.
        first: backbone -> configurations to try before anything is drawn.
        trials: most trials per backbone.
        epochs: most epochs of one trial.
        seed: of the samplers, and of every trial's training.
        run: the run folder, with the journal in it.
        sampler: what draws, see :func:`make_sampler`.
        scheduler: what stops trials.
        second: the objective beside the first, if any, see :mod:`fer_tune.search.proposing.objectives`.
        room: what says when to suggest one more, where the number of trials side by side follows the cluster.
        aim: what trials are judged by.
        planned: backbone -> most trials, in place of ``trials``.
        random_share: share of the drawn trials that are drawn at random, whatever the sampler.
        informed_by: earlier searches of other backbones, from which gp and tpe learn too; not with a second objective.
        retried: backbone -> trials that failed before a resume, whose settings are tried again after it.
        resuming: the studies are there, and `restore` will be called.
    """

    def __init__(
        self,
        spaces: dict[str, SearchSpace],
        first: Mapping[str, Sequence[Candidate]],
        trials: int,
        epochs: int,
        seed: int,
        run: RunFolder,
        sampler: Sampler = "gp",
        scheduler: Scheduler = "asha",
        second: Objective | None = None,
        room: Room | None = None,
        *,
        aim: Aim = ACCURACY,
        planned: Mapping[str, int] | None = None,
        random_share: float = 0.0,
        informed_by: Sequence[EarlierSearch] = (),
        retried: Mapping[str, Sequence[str]] | None = None,
        resuming: bool = False,
    ) -> None:
        super().__init__(metric=aim.best, mode="max" if aim.maximise else "min")
        self._aim = aim
        self._sampler, self._scheduler, self._second = sampler, scheduler, second
        self._spaces, self._epochs, self._seed, self._run = spaces, epochs, seed, run
        self._trials = dict(planned) if planned else planned_trials(spaces, first, trials, sampler)
        self._retried = dict(retried or {})
        self._random_share, self._informed_by = random_share, informed_by
        self._room = room
        blind = blind_trials(sampler)  # and those that are tried first, as they are known
        self._blind = {
            name: max(len(entries), blind + sum(not space.enqueue_values(entry.config) for entry in entries))
            for name, space in spaces.items()
            for entries in [first.get(name, ())]
        }
        self._suggested = dict.fromkeys(spaces, 0)
        self._numbers: dict[str, tuple[str, int]] = {}  # Tune's trial id -> backbone, Optuna's trial number
        self._told: dict[str, int] = {}  # Tune's trial id -> last epoch told
        self._seconds: dict[str, dict[int, float]] = {}  # Tune's trial id -> epoch -> how long it took
        self._studies: dict[str, optuna.Study] | None = None
        if resuming:
            return
        self._studies = self._open_studies()
        for backbone, entries in first.items():
            for entry in entries:
                spaces[backbone].enqueue(self._studies[backbone], entry)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a string
        """Return a new trial's settings; None where there is no room for it; FINISHED once there are all of them."""
        open_ones = [name for name, count in self._suggested.items() if count < self._trials[name]]
        if not open_ones:
            return str(Searcher.FINISHED)
        backbone = self._turn(open_ones)
        if self._room and not self._room.take(blind=self._suggested[backbone] < self._blind[backbone]):
            return None
        trial, settings = self._next_trial(backbone)
        trial.set_user_attr("trial_id", trial_id)
        self._suggested[backbone] += 1
        self._numbers[trial_id] = (backbone, trial.number)
        return {**settings, "backbone": backbone, "epochs": self._epochs, "seed": self._seed, "origin": origin(trial)}

    def _next_trial(self, backbone: str) -> tuple[optuna.Trial, dict[str, Any]]:
        """Ask the study for a trial and its settings; where it is one of the random share, not of its sampler.

        They are spread evenly over the drawn trials, so that no result has a say in which these are.
        """
        study, space = self._study(backbone), self._spaces[backbone]
        drawn = sum(was_drawn(trial) for trial in study.get_trials(deepcopy=False))
        usual = study.sampler
        # the rounding is that of the share's decimals: 0.2 of five is one, not 0.9999999
        at_random = math.floor((drawn + 1) * self._random_share + 1e-9) > math.floor(drawn * self._random_share + 1e-9)
        try:
            if at_random:
                study.sampler = optuna.samplers.RandomSampler(seed=crc32(f"{self._seed} {backbone} {drawn}".encode()))
            trial = study.ask()
            if at_random:
                drawn_at_random(trial)
            return trial, space.suggest(trial)
        finally:
            study.sampler = usual

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an epoch to the study, once."""
        epoch, value = int(result.get("epoch", 0)), float(result.get(self._aim.best, math.nan))
        if epoch <= self._told.get(trial_id, 0) or not math.isfinite(value):
            return
        backbone, number = self._numbers[trial_id]
        if not self._second_of(backbone) and self._lacks(backbone, number, epoch):
            report(self._study(backbone), number, value, epoch)
        self._told[trial_id] = epoch
        if self._second == "seconds":
            self._seconds.setdefault(trial_id, {})[epoch] = float(result["seconds"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how a trial ended: FAIL, PRUNED if it was stopped, else COMPLETE with its best value.

        One that does not fit into memory is PRUNED too, and breaks a constraint: samplers learn to keep away from such
        settings.  From FAIL it learns nothing, and where larger images are better it draws them again and again.
        """
        if trial_id not in self._numbers:
            return
        backbone, number = self._numbers[trial_id]
        result = result or {}
        if not error and result:
            self.on_trial_result(trial_id, result)  # Tune does not pass a trial's last result to the searcher
        values = [float(result.get(self._aim.best, math.nan))]
        if second := self._second_of(backbone):
            values.append(value_of(second, result, self._epoch_seconds(trial_id)))
        failed = error or result.get("error") or not all(map(math.isfinite, values))
        state = TrialState.FAIL if failed else TrialState.COMPLETE if result.get("finished") else TrialState.PRUNED
        study, known = self._study(backbone), self._trial(backbone, number)
        too_large = bool(result.get(TOO_LARGE))
        if too_large:
            state = TrialState.PRUNED
            if not known.state.is_finished():
                forbid(study, number, TOO_LARGE)
        if not known.state.is_finished():
            study.tell(number, values if state == TrialState.COMPLETE else None, state)
        # the study was ahead of Tune's snapshot, and it came otherwise
        elif (known.state, TOO_LARGE in known.constraints) != (state, too_large):
            self._numbers[trial_id] = (backbone, ended_otherwise(study, known, state, values, too_large))

    def save(self, checkpoint_path: str) -> None:
        """Write what Tune's snapshot needs.

        Of a run in a store that is the journal too: the copy of it there may be some seconds older than the snapshot.
        """
        names = ("_suggested", "_numbers", "_told", "_seconds")
        state = {name.removeprefix("_"): getattr(self, name) for name in names}
        if self._run.uri:
            state["journal_lines"] = self._run.study_file.read_bytes()
        Path(checkpoint_path).write_bytes(pickle.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """Go on from a snapshot; trials that the study started after it are failed, published ones tried again."""
        state = pickle.loads(Path(checkpoint_path).read_bytes())
        lines = state.pop("journal_lines", b"")
        journal = self._run.study_file
        if len(lines) > (journal.stat().st_size if journal.is_file() else 0):
            journal.write_bytes(lines)
        self._studies = None  # to be read anew
        self.__dict__.update({f"_{name}": value for name, value in state.items()})
        for backbone, space in self._spaces.items():
            known = {number for name, number in self._numbers.values() if name == backbone}
            study = self._study(backbone)
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if trial.number not in known:
                    mark(study, trial.number, LOST, True)
                    study.tell(trial.number, state=TrialState.FAIL)
                    space.enqueue_again(study, trial)
            self._retry(backbone)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_studies": None}  # opened again from the journal where it is unpickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _run=where_now(state["_run"]))

    def _retry(self, backbone: str) -> None:
        """Enqueue the settings of failed trials, each once over all resumes."""
        study, space = self._study(backbone), self._spaces[backbone]
        trials = {trial.user_attrs.get("trial_id"): trial for trial in study.get_trials(deepcopy=False)}
        begun = {trial.user_attrs.get(AGAIN) for trial in study.get_trials(deepcopy=False)}
        for trial_id in self._retried.get(backbone, ()):
            if trial_id in trials and trial_id not in begun:
                space.enqueue_again(study, trials[trial_id], trial_id)

    def _turn(self, open_ones: list[str]) -> str:
        """Return whose trial is next: of the first of those that have fewest."""
        return min(open_ones, key=lambda name: self._suggested[name])

    def _study(self, backbone: str) -> optuna.Study:
        if self._studies is None:
            self._studies = self._open_studies()
        return self._studies[backbone]

    def _open_studies(self) -> dict[str, optuna.Study]:
        """Open the studies with their samplers, whose random numbers go on from the number of trials drawn."""
        second = {name: self._second_of(name) for name in self._spaces}
        studies = open_studies(self._run.study_file, self._spaces, self._seed, second=second, aim=self._aim)
        for index, (name, study) in enumerate(studies.items()):
            seed = self._seed + 1_000 * index + len(study.get_trials(deepcopy=False))
            space, others = self._spaces[name], [each for each in self._informed_by if each.backbone != name]
            study.sampler = make_sampler(
                self._sampler,
                seed,
                space,
                self._epochs,
                self._scheduler,
                several=second[name] is not None,
                earlier=others,
                retelling=Informing(space, others, self._aim) if others else None,
            )
        return studies

    def _second_of(self, backbone: str) -> Objective | None:
        return told(self._second, self._spaces[backbone])

    def _epoch_seconds(self, trial_id: str) -> list[float]:
        return list(self._seconds.get(trial_id, {}).values())

    def _trial(self, backbone: str, number: int) -> FrozenTrial:
        return self._study(backbone).get_trials(deepcopy=False)[number]

    def _lacks(self, backbone: str, number: int, epoch: int) -> bool:
        """Return whether the study has yet to be told of an epoch; it may be ahead of Tune's snapshot."""
        trial = self._trial(backbone, number)
        return not trial.state.is_finished() and epoch not in trial.intermediate_values
