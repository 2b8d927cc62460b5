"""ASHA: trials are compared with those of their backbone, and a resume keeps the rungs."""

from __future__ import annotations

import pickle
import random
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from fer_tune.objectives import ACCURACY, OBJECTIVES
from fer_tune.search.stopping_early.asha import BackboneASHA
from fer_tune.search.stopping_early.median import BackboneMedian
from fer_tune.search.stopping_early.resumable import KeepScheduler


def scheduler(backbones=("a",), epochs=9, grace=1, factor=3, brackets=1):
    made = BackboneASHA(list(backbones), epochs, grace, factor, brackets)
    made.set_search_properties(ACCURACY.best, "max")
    return made


def report(asha, name, epoch, value, backbone="a"):
    trial = SimpleNamespace(trial_id=name, config={"backbone": backbone})
    asha.on_trial_add(None, trial)
    return asha.on_trial_result(None, trial, {"epoch": epoch, ACCURACY.best: value})


def test_a_poor_trial_is_stopped_at_a_rung_and_a_good_one_goes_on():
    asha = scheduler()
    for index in range(6):
        report(asha, f"t{index}", 1, 0.30 + index / 100)
    assert report(asha, "poor", 1, 0.20) == TrialScheduler.STOP
    assert report(asha, "good", 1, 0.50) == TrialScheduler.CONTINUE
    assert report(asha, "good", 2, 0.10) == TrialScheduler.CONTINUE  # epoch 2 is no rung


@pytest.mark.parametrize("kind", [lambda: scheduler(), lambda: BackboneMedian(1)])
def test_what_was_drawn_at_random_is_never_stopped_but_compared_with(kind):
    made = kind()

    def told(name, value, origin="searched"):
        trial = SimpleNamespace(trial_id=name, config={"backbone": "a", "origin": origin})
        made.on_trial_add(None, trial)
        return made.on_trial_result(None, trial, {"epoch": 1, ACCURACY.best: value, ACCURACY.column: value})

    for index in range(6):
        told(f"t{index}", 0.30 + index / 100, origin="random")
    assert told("poor", 0.20) == TrialScheduler.STOP
    assert told("worse", 0.10, origin="random") == TrialScheduler.CONTINUE


def test_of_losses_it_keeps_the_smaller():
    loss = OBJECTIVES["val_loss"]
    asha = BackboneASHA(["a"], 9, 1, 3, aim=loss)
    decided = {}
    for name, value in (("t0", 1.5), ("t1", 1.4), ("t2", 1.3), ("poor", 1.9), ("good", 0.9)):
        trial = SimpleNamespace(trial_id=name, config={"backbone": "a"})
        asha.on_trial_add(None, trial)
        result = {"epoch": 1, loss.best: value, ACCURACY.best: value}  # by accuracy the other way round
        decided[name] = asha.on_trial_result(None, trial, result)
    assert (decided["poor"], decided["good"]) == (TrialScheduler.STOP, TrialScheduler.CONTINUE)


def test_grace_period_and_reduction_factor_set_the_rungs():
    assert [epoch for epoch, _ in scheduler(epochs=9, grace=1, factor=3).rungs()["a"]] == [9, 3, 1]
    assert [epoch for epoch, _ in scheduler(epochs=12, grace=2, factor=2).rungs()["a"]] == [8, 4, 2]


def test_a_trial_that_reaches_the_last_epoch_ends_by_itself():
    asha = scheduler(epochs=3)
    assert report(asha, "t", 3, 0.5) == TrialScheduler.CONTINUE


def test_backbones_are_not_compared_with_each_other():
    asha = scheduler(("strong", "weak"))
    for index in range(6):
        report(asha, f"s{index}", 1, 0.9, "strong")
    assert report(asha, "w0", 1, 0.3, "weak") == TrialScheduler.CONTINUE
    assert report(asha, "s", 1, 0.3, "strong") == TrialScheduler.STOP


def test_after_a_resume_new_trials_meet_the_old_rungs():
    asha = scheduler()
    for index in range(6):
        report(asha, f"t{index}", 1, 0.3)
    state = KeepScheduler(asha).get_state()
    fresh = pickle.loads(pickle.dumps(scheduler()))
    KeepScheduler(fresh).set_state(pickle.loads(pickle.dumps(state)))
    report(fresh, "t0", 5, 0.9)  # a resumed trial: it must not fill the lowest rung
    assert report(fresh, "new", 1, 0.35) == TrialScheduler.CONTINUE
    assert report(fresh, "poor", 1, 0.1) == TrialScheduler.STOP
    assert fresh.rungs()["a"][-1][1]["t0"] == 0.3


def test_an_epoch_of_a_failed_trial_is_no_record():
    asha = scheduler()
    assert report(asha, "failed", 0, float("nan")) == TrialScheduler.CONTINUE
    assert all(not recorded for _, recorded in asha.rungs()["a"])


@pytest.mark.parametrize(("epochs", "grace", "factor"), [(9, 1, 3), (12, 2, 2), (20, 3, 4), (5, 5, 3)])
def test_it_decides_as_ray_s_own_does_on_one_backbone(epochs, grace, factor):
    rays = AsyncHyperBandScheduler("epoch", ACCURACY.best, "max", epochs, grace, factor, stop_last_trials=False)
    ours, draw, decided = scheduler(epochs=epochs, grace=grace, factor=factor), random.Random(epochs), []
    running = {f"t{index}": 0 for index in range(60)}
    for name in running:
        rays.on_trial_add(None, SimpleNamespace(trial_id=name))
    while running:
        name = draw.choice(sorted(running))
        running[name] = min(epochs, running[name] + draw.choice([1, 1, 1, 2]))  # one that is retried may skip an epoch
        value = float("nan") if draw.random() < 0.02 else round(draw.random(), 1)
        trial = SimpleNamespace(trial_id=name, config={"backbone": "a"})
        result = {"epoch": running[name], ACCURACY.best: value}
        decided.append((ours.on_trial_result(None, trial, result), rays.on_trial_result(None, trial, result)))
        if decided[-1][1] == TrialScheduler.STOP or running[name] == epochs:
            ours.on_trial_complete(None, trial, result)
            rays.on_trial_complete(None, trial, result)
            del running[name]
    assert all(own == other for own, other in decided)
    assert len({own for own, _ in decided}) == 2


def bracket_of(asha, name) -> int:
    return asha.known()["bracket_of"][name]


def test_brackets_begin_to_stop_one_after_the_other():
    asha = scheduler(brackets=3)
    rungs = [epoch for epoch, _ in asha.rungs()["a"]]
    assert rungs == [9, 3, 1, 9, 3, 9]  # by bracket; at 9, the last epoch, nothing is stopped
    for index in range(60):
        report(asha, f"t{index:02d}", 1, 0.5)
    poor = [f"p{index}" for index in range(10)]
    stopped = {bracket_of(asha, name) for name in poor if report(asha, name, 1, 0.1) == TrialScheduler.STOP}
    assert stopped == {0}
    assert {bracket_of(asha, name) for name in poor} >= {0, 1}


def test_brackets_get_their_shares_in_turn_and_for_each_backbone():
    asha = scheduler(("a", "b"), brackets=3)
    for backbone in ("a", "b"):
        for index in range(100):
            report(asha, f"{backbone}{index}", 1, 0.5, backbone)
        own = [bracket_of(asha, f"{backbone}{index}") for index in range(100)]
        shares = [own.count(index) for index in range(3)]
        assert shares == [67, 24, 9]  # e**3 : e**2 : e, as in Ray
        assert own[:4] != sorted(own[:40])[:4] or own.index(1) < 4  # in turn, not one after the other


def test_trials_are_compared_within_their_bracket():
    asha = scheduler(brackets=2)
    names = [f"t{index}" for index in range(20)]
    for name in names:
        report(asha, name, 1, 0.5)
    second = [name for name in names if bracket_of(asha, name) == 1]
    assert len(second) >= 4
    for name in second:
        assert report(asha, name, 3, 0.9) == TrialScheduler.CONTINUE
    first = next(name for name in names if bracket_of(asha, name) == 0)
    assert report(asha, first, 3, 0.6) == TrialScheduler.CONTINUE  # alone at this rung of its bracket


def test_a_resume_keeps_each_trial_in_its_bracket():
    asha = scheduler(brackets=3)
    for index in range(12):
        report(asha, f"t{index}", 1, 0.3)
    state = pickle.loads(pickle.dumps(KeepScheduler(asha).get_state()))
    fresh = pickle.loads(pickle.dumps(scheduler(brackets=3)))
    moved = next(name for name in (f"t{index}" for index in range(12)) if bracket_of(asha, name) == 1)
    report(fresh, moved, 1, 0.3)  # Tune may add the trials before it restores the callback
    assert bracket_of(fresh, moved) == 0
    KeepScheduler(fresh).set_state(state)
    assert fresh.known() == asha.known()
    report(fresh, moved, 3, 0.4)
    (third,) = [records for epoch, records in fresh.rungs()["a"][3:5] if epoch == 3]
    assert moved in third
    for index in range(30):
        report(fresh, f"n{index}", 1, 0.5)
        report(asha, f"n{index}", 1, 0.5)
    assert fresh.known()["bracket_of"] == asha.known()["bracket_of"]


@pytest.mark.parametrize("brackets", [1, 2])
def test_more_epochs_after_a_resume_are_more_rungs_above_the_old_ones(brackets):
    asha = scheduler(epochs=9, brackets=brackets)
    for index in range(6):
        report(asha, f"t{index}", 1, 0.3)
    state = KeepScheduler(asha).get_state()
    longer = scheduler(epochs=30, brackets=brackets)
    KeepScheduler(longer).set_state(pickle.loads(pickle.dumps(state)))
    assert max(epoch for epoch, _ in longer.rungs()["a"]) == 27
    old, new = ({epoch: len(records) for epoch, records in each.rungs()["a"] if records} for each in (asha, longer))
    assert old == new
    assert report(longer, "poor", 1, 0.1) == TrialScheduler.STOP
