"""Each point that leans on the inside of Optuna is where it was in 5.0, and what made it necessary is still so."""

from __future__ import annotations

import inspect
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import GPSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from fer_tune.search.proposing.optuna_internals import (
    LearnsFromDrawn,
    Retelling,
    Retold,
    ToleratesOthers,
    forbid,
    mark,
    report,
)

SEEN = f"as seen in Optuna 5.0, not in {version('optuna')}"
SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0)}


@pytest.fixture
def storage(tmp_path: Path) -> BaseStorage:
    return JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))


def test_a_running_trial_is_told_of_by_its_number(storage: BaseStorage) -> None:
    optuna.create_study(study_name="another", storage=storage).ask()
    study = optuna.create_study(study_name="a", storage=storage)
    study.ask()
    number = study.ask().number
    again = optuna.load_study(study_name="a", storage=storage)
    report(again, number, 0.25, 3)
    mark(again, number, "lost", True)
    forbid(again, number, "memory")
    study.tell(number, state=TrialState.PRUNED)
    first, second = study.trials
    assert (first.constraints, second.constraints) == ({}, {"memory": 1.0}), SEEN
    assert (first.intermediate_values, first.user_attrs) == ({}, {})
    assert (second.intermediate_values, second.user_attrs, second.value) == ({3: 0.25}, {"lost": True}, 0.25), SEEN


def test_there_is_no_public_way_to_report_by_a_number() -> None:
    """Or there is one now, and `report` can go."""
    assert [name for name in dir(optuna.Study) if "report" in name or "user_attr" in name] == [
        "set_user_attr",  # of the study
        "user_attrs",
    ], SEEN
    assert list(inspect.signature(optuna.Trial).parameters) == ["study", "trial_id"], SEEN
    assert [name for name in vars(FrozenTrial) if name.endswith("trial_id") and not name.startswith("_")] == [], SEEN


class Stock(GPSampler):
    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return SPACE


class Ours(ToleratesOthers):
    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return SPACE


def drawn(sampler: Any, lacking: int = 1) -> dict[str, float]:
    """Return what is drawn after three trials that have drawn x and some that have not."""
    study = optuna.create_study(sampler=sampler)
    study.add_trials([create_trial(value=v, params={"x": v}, distributions=SPACE) for v in (0.1, 0.5, 0.9)])
    study.add_trials([create_trial(value=0.0) for _ in range(lacking)])
    trial = study.ask()
    trial.suggest_float("x", 0.0, 1.0)
    return trial.relative_params


def test_the_gaussian_process_takes_trials_that_drew_something_else() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        assert set(drawn(Ours(3, seed=0))) == {"x"}
        assert drawn(Ours(4, seed=0)) == {}, "too few to learn from"
        assert drawn(Ours(3, seed=0), 0) == drawn(Stock(n_startup_trials=3, seed=0), 0), SEEN
        with pytest.raises(KeyError):  # or Optuna passes over such trials by itself, and `ToleratesOthers` can go
            drawn(Stock(n_startup_trials=3, seed=0))


def test_the_method_between_choosing_trials_and_fitting_them_is_there() -> None:
    taken = list(inspect.signature(GPSampler._sample_relative_impl).parameters)
    assert taken == ["self", "study", "completed_trials", "running_trials", "search_space"], SEEN


def of_nothing(sampler: TPESampler) -> float:
    """Return what a sampler draws after eight trials that drew nothing."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(8):
        study.add_trial(create_trial(value=0.5))
    return study.ask().suggest_float("x", 0.0, 1.0)


def test_tpe_is_told_by_the_study_which_trials_there_are() -> None:
    plain = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask().suggest_float("x", 0.0, 1.0)
    assert of_nothing(LearnsFromDrawn(n_startup_trials=8, seed=1)) == plain, SEEN
    assert of_nothing(TPESampler(n_startup_trials=8, seed=1)) != plain, SEEN  # or it does so by itself


def test_tpe_learns_from_what_it_is_told_in_place_of_its_trials() -> None:
    def ended(best: float) -> list[FrozenTrial]:
        tried = [number / 40 for number in range(41)]
        return [create_trial(value=abs(x - best), params={"x": x}, distributions=SPACE) for x in tried]

    def drawn(retelling: Retelling | None) -> float:
        study = optuna.create_study(sampler=LearnsFromDrawn(retelling, multivariate=False, seed=0))
        study.add_trials(ended(0.1))
        return float(study.ask().suggest_float("x", 0.0, 1.0))

    assert drawn(None) < 0.4, SEEN
    assert drawn(lambda trials: ended(0.9)) > 0.6, SEEN
    study = optuna.create_study()
    study.add_trials(ended(0.1))
    assert Retold(study, lambda trials: list(trials[:3]))._get_trials(states=(TrialState.RUNNING,)) == []
    assert len(Retold(study, lambda trials: list(trials[:3]))._get_trials()) == 3
    assert Retold(study, list).direction == study.direction
