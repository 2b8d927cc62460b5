"""Replayed searches: what pauses and goes on in them, what TPE is told, and what earlier searches lend it."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from fer_tune.search.proposing import studies
from fer_tune.search.spaces.parameter import Parameter
from fer_tune.search.spaces.space import SearchSpace

sys.path.append(str(Path(__file__).parent / "benchmarks"))  # where the scripts find each other

import efficiency
import informed
import live
import ways
from replaying import Halving, Promotion, drive

BETTER = [1, 4, 2, 3, 8, 5, 7, 6]  # of the first trials; those after are worse


class Listed:
    """Suggests what is listed, and counts the epochs of each trial."""

    def __init__(self) -> None:
        self.numbers, self.epochs = count(), Counter[str]()

    def suggest(self, trial_id: str) -> dict[str, Any]:
        number = next(self.numbers)
        return {"value": BETTER[number] if number < len(BETTER) else 0}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.epochs[trial_id] += 1

    def on_trial_complete(self, trial_id: str, result: dict[str, Any]) -> None:
        assert result["finished"]
        self.epochs[trial_id] += 1


def curve(settings: dict[str, Any]) -> np.ndarray:
    return np.arange(1, 4) * settings["value"] / 100


@pytest.mark.parametrize(
    ("scheduler", "further"),
    [
        (Halving([(4, 1), (1, 3)]), {1, 4}),  # the best of each four
        (Halving([(4, 1), (2, 2), (1, 3)]), {1, 4}),
        (Promotion(1, 4, 3), {1, 4, 6}),  # by then one in four of those seen: the best, and the best of the rest
    ],
)
def test_the_best_go_on_to_their_end_and_the_others_no_further_than_their_rung(scheduler, further):
    searcher = Listed()
    best = drive(searcher, scheduler, curve, 0, 40)
    ended = {int(name) for name, epochs in searcher.epochs.items() if epochs == 3}
    assert ended >= further
    assert 0 not in ended  # the worst of the first four
    assert searcher.epochs["00000000"] <= 2
    assert best[3] == pytest.approx(0.04)  # after an epoch of each of four
    assert best[-1] == pytest.approx(0.24)
    assert len(best) == 40


def test_a_search_ends_at_its_target_or_at_its_limit_and_noise_does_not_count_as_reached():
    def reached(**how: Any) -> np.ndarray:
        return drive(Listed(), Halving([(4, 1), (1, 3)]), curve, 0, 1, **how)

    found = reached(target=0.12, limit=100)
    assert found[-1] >= 0.12 > found[-2]
    assert len(reached(target=0.9, limit=50)) == 50
    assert len(reached(target=0.9, limit=50, noise=lambda curve, rng: curve + 1.0)) == 50


SPACE = SearchSpace(
    backbone="cnn_simpler",
    parameters={
        "learning_rate": Parameter(name="learning_rate", kind="log_uniform", values=(1e-4, 1e-1)),
        "optimizer": Parameter(name="optimizer", kind="choice", values=("adamw", "sgd")),
        "momentum": Parameter(name="momentum", kind="uniform", values=(0.5, 0.99), when={"optimizer": ("sgd",)}),
    },
)


class Peak:
    """Settings are the better the nearer their learning rate is to 0.01."""

    space = SPACE

    def curve(self, settings: dict[str, Any]) -> np.ndarray:
        return np.arange(1, 10) / 9 * 0.8 ** abs(np.log10(settings["learning_rate"]) + 2)

    def noisy(self, curve: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return curve + rng.normal(0, 0.1)


@pytest.fixture
def in_memory(monkeypatch):
    monkeypatch.setattr(studies, "JournalStorage", lambda backend: optuna.storages.InMemoryStorage())


@pytest.mark.parametrize(
    "way", ["ASHA 1, 3", "GP, ASHA 2, 3", "TPE, ASHA 2, 3", "TPE told like with like, promotion 2, 3"]
)
def test_processes_change_nothing_in_a_replayed_search(way, tmp_path, in_memory):
    with efficiency.side_by_side(Peak(), workers=2) as replays:
        found = list(replays([efficiency.Search(way, seed, 60) for seed in (0, 1, 2)]))
    asked = ways.WAYS[way]
    here = drive(asked.searcher(SPACE, 1, tmp_path), asked.scheduler(), Peak().curve, 1, 60)
    assert found[1].tolist() == here.tolist()
    assert found[0].tolist() != here.tolist()


def test_noise_sways_what_is_decided():
    searches = [efficiency.Search("ASHA 1, 3", 0, 60)]
    with efficiency.side_by_side(Peak(), workers=1) as replays, efficiency.side_by_side(Peak(), True, 1) as noisy:
        assert next(replays(searches)).tolist() != next(noisy(searches)).tolist()


def test_the_epochs_to_a_target_are_those_of_a_search_that_had_it_or_all_it_had():
    assert efficiency.epochs_to(np.array([0.1, 0.4, 0.4, 0.6]), 0.4) == 2
    assert efficiency.epochs_to(np.array([0.1, 0.2]), 0.4) == 2


def trials(*curves: list[float], running: tuple[int, ...] = ()) -> list[Any]:
    study = optuna.create_study(direction="maximize")
    for number, curve in enumerate(curves):
        trial = study.ask()
        trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        for epoch, value in enumerate(curve, 1):
            trial.report(value, epoch)
        if number not in running:
            ended = len(curve) == 3
            study.tell(trial, curve[-1] if ended else None, None if ended else optuna.trial.TrialState.PRUNED)
    return study.get_trials()


def test_what_tpe_is_told_of_trials_that_came_to_different_epochs():
    known = trials([0.1, 0.2, 0.3], [0.2], [0.05, 0.25], running=(2,))
    assert [trial.value for trial in ways.so_far(known)] == [0.3, 0.2, 0.25]
    # the second is ahead of both after their first epoch; the third of the first after their second
    assert [trial.value for trial in ways.like_with_like(known)] == pytest.approx([-2 / 3, 2 / 3, 0])
    assert {trial.state for trial in ways.like_with_like(known)} == {optuna.trial.TrialState.COMPLETE}
    assert ways.like_with_like([]) == []


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_a_search_is_told_of_earlier_ones_as_its_way_has_it(sampler, tmp_path, in_memory):
    rates = np.geomspace(1e-4, 1e-2, 40)  # the best is the last
    good = [
        informed.EarlierTrial(settings={"learning_rate": rate, "optimizer": "adamw"}, beats=place / 20 - 1)
        for place, rate in enumerate(rates)
    ]
    drawn = {}
    for way in (informed.NOTHING, informed.FIRST, informed.SAMPLER):
        (tmp_path / way).mkdir()
        searches = [informed.EarlierSearch(run="a", backbone="b", trials=good)]
        searcher = informed.searcher_of(way, SPACE, searches, 0, tmp_path / way, sampler)
        drawn[way] = [searcher.suggest(f"{n}")["learning_rate"] for n in range(6)]
    assert drawn[informed.FIRST][:3] == rates[:-4:-1].tolist()
    assert drawn[informed.FIRST][3:] == drawn[informed.NOTHING][:3]
    off = {way: np.mean(abs(np.log10(rates) + 2)) for way, rates in drawn.items()}
    assert off[informed.SAMPLER] < {"gp": 0.75, "tpe": 0.6}[sampler] * off[informed.NOTHING]  # gp draws farther apart


def test_a_live_comparison_counts_to_what_half_of_the_first_way_found(capsys):
    first = np.array([[0.1, 0.2, 0.3, 0.3], [0.2, 0.2, 0.4, 0.5], [0.1, 0.3, 0.4, 0.4]])
    live.summary({"ASHA 1, 3": first, "ours": np.array([[0.4, 0.4, 0.4, 0.4], [0.1, 0.4, 0.4, 0.6], [0.2] * 4])})
    said = capsys.readouterr().out
    assert "target: 40.00%" in said
    rows = {line.split("  ")[0].strip(): line for line in said.splitlines()}
    assert "4, 3, 3" in rows["ASHA 1, 3"]
    assert "1, 2, 4" in rows["ours"]
    assert "1.43 (" in rows["ours"]  # ten epochs against seven


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--table", "fer2013"], "--data says where"),
        (["best"], "best: not one of random; "),
    ],
)
def test_live_refuses_what_it_cannot_compare(arguments, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["live.py", *arguments])
    with pytest.raises(SystemExit):
        live.main()
    assert told in capsys.readouterr().err
