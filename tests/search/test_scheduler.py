"""ASHA: trials are compared with those of their backbone, and a resume keeps the rungs."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

from ray.tune.schedulers import TrialScheduler

from fer_tune.search.scheduler import METRIC, BackboneASHA, KeepRungs


def scheduler(backbones=("a",), epochs=9, grace=1, factor=3):
    made = BackboneASHA(list(backbones), epochs, grace, factor)
    made.set_search_properties(METRIC, "max")
    return made


def report(asha, name, epoch, value, backbone="a"):
    trial = SimpleNamespace(trial_id=name, config={"backbone": backbone})
    if name not in asha._trial_info:
        asha.on_trial_add(None, trial)
    return asha.on_trial_result(None, trial, {"epoch": epoch, METRIC: value})


def test_a_poor_trial_is_stopped_at_a_rung_and_a_good_one_goes_on():
    asha = scheduler()
    for index in range(6):
        report(asha, f"t{index}", 1, 0.30 + index / 100)
    assert report(asha, "poor", 1, 0.20) == TrialScheduler.STOP
    assert report(asha, "good", 1, 0.50) == TrialScheduler.CONTINUE
    assert report(asha, "good", 2, 0.10) == TrialScheduler.CONTINUE  # epoch 2 is no rung


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
    state = KeepRungs(asha).get_state()
    fresh = pickle.loads(pickle.dumps(scheduler()))
    KeepRungs(fresh).set_state(pickle.loads(pickle.dumps(state)))
    report(fresh, "t0", 5, 0.9)  # a resumed trial: it must not fill the lowest rung
    assert report(fresh, "new", 1, 0.35) == TrialScheduler.CONTINUE
    assert report(fresh, "poor", 1, 0.1) == TrialScheduler.STOP
    assert fresh.rungs()["a"][-1][1]["t0"] == 0.3


def test_an_epoch_of_a_failed_trial_is_no_record():
    asha = scheduler()
    assert report(asha, "failed", 0, float("nan")) == TrialScheduler.CONTINUE
    assert all(not recorded for _, recorded in asha.rungs()["a"])
