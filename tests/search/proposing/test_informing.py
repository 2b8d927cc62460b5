"""What a sampler is told of earlier runs, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from drawing import tiny_dataset
from earlier_run import made
from optuna.trial import FrozenTrial, TrialState

from fer_tune.errors import UserError
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import OBJECTIVES
from fer_tune.run_folder import EarlierSearch, EarlierTrial, RunFolder
from fer_tune.search.options import SearchOptions
from fer_tune.search.planning.plan import make_plan
from fer_tune.search.proposing.informing import MOST, Informing, told_to_sampler
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import from_resolved

SEARCH = {
    "learning_rate": {"log_uniform": [1e-4, 1e-1]},
    "optimizer": {"choice": ["adamw", "sgd"]},
    "momentum": {"uniform": [0.5, 0.99], "when": {"optimizer": "sgd"}},
}
SPACE = from_resolved({"backbone": "cnn_simpler", "search": SEARCH})
PRUNED, COMPLETE = TrialState.PRUNED, TrialState.COMPLETE


def options(*runs: Path, **changes: Any) -> SearchOptions:
    return SearchOptions(**{"data": "d", "backbones": ["cnn_simpler"], "warm_start": [*map(str, runs)]} | changes)


def around(rate: float, trials: int = 40) -> EarlierSearch:
    """An earlier search whose trials are the better the nearer their learning rate is to ``rate``."""
    rates = np.geomspace(1e-4, 1e-1, trials)
    beats = -2 * abs(np.log10(rates / rate)) / 3 + 1
    told = [EarlierTrial(settings={"learning_rate": r}, beats=b) for r, b in zip(rates, beats, strict=True)]
    return EarlierSearch(
        run="earlier", backbone="cnn_deeper", trials=[told[n] for n in np.random.default_rng(0).permutation(trials)]
    )


def ended(*trials: tuple[TrialState, list[float]], too_large: int | None = None) -> list[FrozenTrial]:
    study = optuna.create_study(direction="maximize")
    for number, (state, curve) in enumerate(trials):
        trial = study.ask()
        for epoch, value in enumerate(curve, 1):
            trial.report(value, epoch)
        if number == too_large:
            trial.set_constraint(TOO_LARGE, 1.0)
        study.tell(trial, curve[-1] if state == COMPLETE else None, state)
    return study.get_trials()


def test_of_each_trial_is_told_what_it_varied_and_what_it_beat(tmp_path):
    run = made(tmp_path / "earlier", good=5e-3, fair=2e-3, backbone="cnn_deeper")
    (search,) = told_to_sampler(options(run), {"cnn_simpler": SPACE})
    assert (search.run, search.backbone) == ("earlier", "cnn_deeper")
    told = {trial.settings["learning_rate"]: trial.beats for trial in search.trials}
    # one that was stopped is behind one that ran to its end
    assert told == {2e-3: pytest.approx(-2 / 3), 1e-3: pytest.approx(0), 5e-3: pytest.approx(2 / 3)}
    assert all(set(trial.settings) == {"learning_rate"} for trial in search.trials)


def test_a_run_that_is_named_twice_counts_once(tmp_path):
    run = made(tmp_path / "runs" / "earlier", good=5e-3, fair=2e-3, backbone="cnn_deeper")
    assert len(told_to_sampler(options(run.parent, run, run), {"cnn_simpler": SPACE})) == 1


@pytest.mark.parametrize(
    "changes", [{"sampler": "cmaes"}, {"sampler": "random"}, {"objectives": ("val_loss", "latency")}]
)
def test_none_is_told_where_the_sampler_cannot_be(tmp_path, changes):
    run = made(tmp_path / "earlier", good=5e-3, fair=2e-3)
    assert told_to_sampler(options(run, **changes), {"cnn_simpler": SPACE}) == []


def test_a_run_that_varied_nothing_which_is_searched_tells_nothing(tmp_path):
    run = made(tmp_path / "earlier", good=5e-3, fair=2e-3)
    other = from_resolved({"backbone": "cnn_simpler", "search": {"drop_rate": {"uniform": [0.0, 0.5]}}})
    assert told_to_sampler(options(run), {"cnn_simpler": other}) == []


def test_a_run_of_the_same_backbone_lends_first_trials_and_no_more(tmp_path):
    run = made(tmp_path / "earlier", good=5e-3, fair=2e-3, backbone="cnn_simpler")
    assert told_to_sampler(options(run), {"cnn_simpler": SPACE}) == []
    (search,) = told_to_sampler(options(run), {"cnn_simpler": SPACE, "cnn_deeper": SPACE})
    assert searched(tmp_path / "a", informed_by=[search]) == searched(tmp_path / "b")


def test_the_runs_of_a_folder_are_told_apart(tmp_path):
    for name in "ab":
        made(tmp_path / "runs" / name, good=5e-3, fair=2e-3)
    found = told_to_sampler(options(tmp_path / "runs"), {"cnn_simpler": SPACE})
    assert [search.run for search in found] == ["a", "b"]
    assert len(found[0].trials) <= MOST


def test_settings_that_a_space_could_not_have_drawn_are_left_out_one_by_one():
    settings = {"learning_rate": 0.5, "optimizer": "adamw", "momentum": 0.9, "freeze_depth": 3}
    search = EarlierSearch(run="a", backbone="cnn_deeper", trials=[EarlierTrial(settings=settings, beats=0.0)])
    (told,) = Informing(SPACE, [search])([])
    assert told.params == {"optimizer": "adamw"}


def test_own_trials_count_with_what_they_beat_among_themselves_and_earlier_ones_fade():
    informing = Informing(SPACE, [around(1e-2, 6), around(1e-2, 3)])
    own = ended((PRUNED, [0.9]), (COMPLETE, [0.1, 0.2]), (PRUNED, [0.3, 0.1]), (PRUNED, [0.95, 0.95]), too_large=3)
    assert len(informing([])) == 9
    told = informing(own[:1])
    assert [trial.number for trial in told] == [-1] * 7 + [0]
    told = [trial for trial in informing(own) if trial.number >= 0]
    assert len(informing(own)) == 2 + 4
    assert np.argsort([trial.value for trial in told]).tolist() == [3, 0, 2, 1]  # too large, stopped, later, at its end
    assert {trial.state for trial in told} == {COMPLETE}
    many = own * 2
    assert informing(many) == many  # as they are, once nothing is left


def test_less_loss_is_better():
    loss = OBJECTIVES["val_loss"]
    own = ended((COMPLETE, [0.2]), (COMPLETE, [0.9]))
    told = Informing(SPACE, [around(1e-2)], loss)(own)
    assert told[-2].value < told[-1].value
    best = min(told[:-2], key=lambda trial: trial.value)
    assert best.params["learning_rate"] == pytest.approx(1e-2, rel=0.3)


def searched(tmp_path: Path, trials: int = 12, **given: Any) -> list[dict[str, Any]]:
    """The settings of a search in which every trial is as good."""
    tmp_path.mkdir()
    searcher = StudySearcher({"cnn_simpler": SPACE}, {}, trials, 3, 0, RunFolder(tmp_path), **given)
    drawn = []
    for name in map(str, range(trials)):
        drawn.append(searcher.suggest(name))
        searcher.on_trial_complete(name, {"epoch": 3, "best_val_accuracy": 0.5, "finished": True})
    return drawn  # type: ignore[return-value]


def off(drawn: list[dict[str, Any]], rate: float) -> float:
    """How far the learning rates are from ``rate``, in powers of ten."""
    return float(np.mean([abs(np.log10(settings["learning_rate"] / rate)) for settings in drawn]))


@pytest.mark.parametrize("rate", [3e-4, 3e-2])
def test_a_search_begins_where_earlier_ones_were_good(tmp_path, rate):
    informed = searched(tmp_path / "a", informed_by=[around(rate)], sampler="tpe")
    assert off(informed, rate) < 0.6 * off(searched(tmp_path / "b", sampler="tpe"), rate)
    assert {settings["optimizer"] for settings in informed} == {"adamw", "sgd"}  # of which nothing is known


def test_a_gaussian_process_learns_from_what_the_space_could_have_drawn(tmp_path):
    beyond = EarlierTrial(settings={"learning_rate": 10.0, "optimizer": "lion", "colour": 3}, beats=0.9)
    search = around(3e-4)
    search = search.model_copy(update={"trials": [*search.trials, beyond]})
    informed = searched(tmp_path / "a", 6, informed_by=[search], sampler="gp")
    assert off(informed, 3e-4) < 0.7 * off(searched(tmp_path / "b", 6, sampler="gp"), 3e-4)


def test_a_resumed_search_is_told_what_the_first_was(tmp_path):
    data = tmp_path / "data"
    tiny_dataset(data)
    run = made(tmp_path / "earlier", good=5e-3, fair=2e-3, backbone="cnn_deeper")
    file = tmp_path / "space.yaml"
    file.write_text("backbone: cnn_simpler\nsearch: {learning_rate: {log_uniform: [1e-4, 1e-1]}}\n")
    asked = options(run, data=data, spaces=[str(file)], published=False)
    plan = make_plan(asked)
    assert "the sampler learns from: earlier (3 trials of cnn_deeper)" in plan.told
    assert plan.warm_start == {}  # the run has another backbone, and so nothing to try first
    kept = RunFolder(tmp_path / "earlier")
    kept.write_settings(kept.settings().model_copy(update={"informed_by": plan.informed_by}))
    assert kept.settings().informed_by == plan.informed_by
    with pytest.raises(UserError, match="no trial of cnn_simpler to start from; it has trials of: cnn_deeper"):
        make_plan(options(run, data=data, spaces=[str(file)], published=False, sampler="random"))
