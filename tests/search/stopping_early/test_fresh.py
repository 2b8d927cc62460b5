"""A worn-out process is ended with its trial: what that leans on inside Ray, and the schedulers that do it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.execution.tune_controller import TuneController
from ray.tune.schedulers import FIFOScheduler
from ray.tune.utils.object_cache import _ObjectCache

from fer_tune.objectives import ACCURACY
from fer_tune.search.stopping_early.asha import BackboneASHA
from fer_tune.search.stopping_early.fresh import FreshProcesses
from fer_tune.search.stopping_early.median import BackboneMedian
from fer_tune.training.memory.leftover import WORN_OUT


class Trial(SimpleNamespace):
    __hash__ = object.__hash__


TRIAL = Trial(
    trial_id="t",
    config={"backbone": "a"},
    placement_group_factory="one CPU",
    set_ray_actor=lambda actor: None,
    storage=None,
)


def controller():
    """What of Tune's controller decides whether a process is reused, with one process that ran one trial."""
    return SimpleNamespace(
        _storage=None,
        _reuse_actors=True,
        _search_alg=SimpleNamespace(is_finished=lambda: False),
        _staged_trials=set(),
        _trial_to_actor={TRIAL: "process"},
        _actor_to_trial={"process": TRIAL},
        _started_actors={"process"},
        _actor_manager=SimpleNamespace(is_actor_started=lambda actor: True, is_actor_failed=lambda actor: False),
        _actor_cache=_ObjectCache(may_keep_one=True),
    )


def schedulers() -> list[FIFOScheduler]:
    made = [FreshProcesses(), BackboneMedian(grace_period=1), BackboneASHA(["a"], 3, 1, 3)]
    for scheduler in made:
        scheduler.set_search_properties(ACCURACY.best, "max")
    return made


@pytest.mark.parametrize("worn", [False, True])
@pytest.mark.parametrize("which", range(3))
def test_tune_keeps_a_process_unless_it_is_worn_out(which, worn):
    scheduler, tune = schedulers()[which], controller()
    result = {"epoch": 1, ACCURACY.best: 0.5, "val_accuracy": 0.5, "finished": True, WORN_OUT: worn}
    scheduler.on_trial_add(tune, TRIAL)
    scheduler.on_trial_result(tune, TRIAL, result)
    scheduler.on_trial_complete(tune, TRIAL, result)
    assert TuneController._maybe_cache_trial_actor(tune, TRIAL) is not worn
    assert tune._actor_cache.has_cached_object("one CPU") is not worn


def test_a_trial_whose_process_is_gone_is_no_error():
    tune = controller()
    tune._trial_to_actor.clear()
    FreshProcesses().on_trial_complete(tune, TRIAL, {"epoch": 1, ACCURACY.best: 0.5, WORN_OUT: True})
    assert tune._started_actors == {"process"}
