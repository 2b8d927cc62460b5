"""The median rule: what it compares, with whom, and that a resume keeps it."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from fer_tune.objectives import ACCURACY, OBJECTIVES
from fer_tune.search.stopping_early.median import NEEDED, BackboneMedian
from fer_tune.search.stopping_early.resumable import KeepScheduler


def report(rule, name, epoch, accuracy, *, best=None, backbone="a", finished=False):
    trial = SimpleNamespace(trial_id=name, config={"backbone": backbone})
    rule.on_trial_add(None, trial)
    result = {"epoch": epoch, "val_accuracy": accuracy, ACCURACY.best: best or accuracy, "finished": finished}
    return rule.on_trial_result(None, trial, result)


@pytest.fixture
def rule():
    """Four trials of two epochs, whose running means after the second are 0.3, 0.4, 0.5 and 0.6."""
    made = BackboneMedian(grace_period=1)
    for index in range(4):
        for epoch, more in ((1, -0.1), (2, 0.1)):
            report(made, f"t{index}", epoch, 0.3 + index / 10 + more)
    return made


def test_a_trial_is_stopped_whose_best_is_below_the_median_of_the_means(rule):
    assert report(rule, "above", 2, 0.46) == TrialScheduler.CONTINUE  # the median of the four is 0.45
    assert report(rule, "poor", 2, 0.44) == TrialScheduler.STOP


def test_of_losses_a_larger_one_is_stopped():
    loss = OBJECTIVES["val_loss"]
    made = BackboneMedian(grace_period=1, aim=loss)

    def decided(name, value):
        trial = SimpleNamespace(trial_id=name, config={"backbone": "a"})
        made.on_trial_add(None, trial)
        return made.on_trial_result(None, trial, {"epoch": 1, "val_loss": value, loss.best: value, "val_accuracy": 0.5})

    for index in range(4):
        decided(f"t{index}", 1.0 + index / 10)
    assert decided("poor", 1.3) == TrialScheduler.STOP
    assert decided("good", 0.9) == TrialScheduler.CONTINUE


def test_what_counts_for_the_trial_judged_is_its_best_epoch(rule):
    assert report(rule, "fallen", 2, 0.1, best=0.5) == TrialScheduler.CONTINUE


def test_those_that_have_not_come_as_far_do_not_count(rule):
    assert report(rule, "ahead", 3, 0.01) == TrialScheduler.CONTINUE


def test_too_few_to_compare_with_stop_no_trial():
    made = BackboneMedian(grace_period=1)
    for index in range(NEEDED - 1):
        report(made, f"t{index}", 1, 0.9)
    assert report(made, "poor", 1, 0.1) == TrialScheduler.CONTINUE
    assert report(made, "poorer", 1, 0.05) == TrialScheduler.STOP  # now there are three others


def test_the_grace_period_is_kept_and_not_counted():
    made = BackboneMedian(grace_period=2)
    for index in range(4):
        report(made, f"t{index}", 1, 0.0)
        report(made, f"t{index}", 2, 0.5)
    assert report(made, "slow", 1, 0.0) == TrialScheduler.CONTINUE
    assert report(made, "slow", 2, 0.4) == TrialScheduler.STOP  # the others' first epoch does not lower their means


def test_backbones_are_not_compared_with_each_other(rule):
    assert report(rule, "other", 2, 0.1, backbone="b") == TrialScheduler.CONTINUE


def test_a_trial_that_has_ended_is_not_stopped(rule):
    assert report(rule, "done", 2, 0.1, finished=True) == TrialScheduler.CONTINUE


def test_a_failed_trial_is_no_record(rule):
    assert report(rule, "failed", 0, math.nan) == TrialScheduler.CONTINUE
    assert "failed" not in rule.known()["seen"]["a"]


def test_after_a_resume_new_trials_meet_the_old_ones(rule):
    state = pickle.loads(pickle.dumps(KeepScheduler(rule).get_state()))
    fresh = pickle.loads(pickle.dumps(BackboneMedian(grace_period=1)))
    KeepScheduler(fresh).set_state(state)
    report(fresh, "t0", 2, 0.4)  # a resumed trial runs its last epoch again
    assert report(fresh, "poor", 2, 0.44) == TrialScheduler.STOP
    assert report(fresh, "good", 2, 0.7) == TrialScheduler.CONTINUE
