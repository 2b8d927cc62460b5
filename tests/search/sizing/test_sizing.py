"""What a search would take: the arithmetic, the timed steps, and how it is told."""

from __future__ import annotations

import contextlib
import dataclasses
import doctest
import math
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from drawing import tiny_dataset

import fer_tune.search.sizing.estimate as sizing
from fer_tune.data.batching.feature_batches import FeatureBatches
from fer_tune.errors import UserError
from fer_tune.search.cluster.hardware import Resources
from fer_tune.search.options import SearchOptions
from fer_tune.search.sizing.estimate import BackboneCost, Estimate, estimate, expected_epochs
from fer_tune.search.sizing.report import report
from fer_tune.search.stopping_early.asha import BackboneASHA
from fer_tune.training import fixed_features
from fer_tune.training.computing.convolutions import other_ways
from fer_tune.training.computing.plan import Plan
from fer_tune.training.probing import probe
from fer_tune.training.probing.probe import Features, Probe
from fer_tune.training.steps.step import Step


def options(**given: Any) -> SearchOptions:
    return SearchOptions(**{"data": Path("d"), "backbones": ["a"], "trials": 10, "epochs": 12, **given})


def made(resources: Resources = Resources(1, 0, 1, 2), *costs: BackboneCost, **given: Any) -> Estimate:  # noqa: B008
    costs = costs or (
        BackboneCost(
            "a", given.get("trials", 10), (Probe(64, 48, 10.0, 2**18, 2**20), Probe(32, 48, 20.0, 2**18, 2**20))
        ),
    )
    asked = options(**given)
    device = "cuda" if resources.gpus else "cpu"
    return Estimate(asked, resources, 8.0, 4.0, device, (100, 10), expected_epochs(asked), costs)


@pytest.mark.parametrize(
    ("given", "epochs"),
    [
        ({"scheduler": "none"}, 12),
        ({"grace_period": 2, "reduction_factor": 3}, 2 + 4 / 3 + 6 / 9),  # rungs at 2 and 6
        ({"grace_period": 4, "reduction_factor": 3}, 4 + 8 / 3),  # a rung at 4; 12 is the end
        ({"grace_period": 1, "reduction_factor": 2}, 1 + 1 / 2 + 2 / 4 + 4 / 8 + 4 / 16),
        ({"grace_period": 20}, 12),
        ({"epochs": 1}, 1),
        ({"scheduler": "median"}, 12),
        ({"random_share": 0.25}, 0.25 * 12 + 0.75 * 4),  # a quarter is never stopped
        ({"brackets": 2}, (4 * math.e**2 + (6 + 6 / 3) * math.e) / (math.e**2 + math.e)),  # rungs at 2 and 6; at 6
    ],
)
def test_epochs_under_asha(given, epochs):
    assert expected_epochs(options(**given)) == pytest.approx(epochs)


def test_the_examples_of_the_documentation_run():
    assert doctest.testmod(sizing) == (0, 2)


def test_the_rungs_are_those_of_the_scheduler():
    """Where ASHA decides is where the arithmetic has one in three go on."""
    asked = options(epochs=40, grace_period=2)
    rungs = sorted(epoch for epoch, _ in BackboneASHA(["a"], 40, 2, 3).rungs()["a"])
    assert rungs == [2, 6, 18]
    reached = [2, 6, 18, 40]
    share = [1, 1 / 3, 1 / 9, 1 / 27]
    expected = sum(part * (to - since) for part, to, since in zip(share, reached, [0, *reached], strict=False))
    assert expected_epochs(asked) == pytest.approx(expected)


def test_time_is_that_of_trials_side_by_side():
    found = made(scheduler="none")  # 10 trials of 12 epochs of 15 s, two at a time
    assert found.trial_seconds == 10 * 12 * 15
    assert found.seconds == 10 * 12 * 15 / 2
    assert found.gpu_hours == 0
    assert made(Resources(1, 0, 1, 64), scheduler="none").seconds == 12 * 15  # no less than one trial
    assert made(Resources(1, 0, 1, 2), scheduler="none", time_budget_seconds=60.0).seconds == 60


def test_backbones_add_up():
    costs = [
        BackboneCost("a", 10, (Probe(64, 48, 10.0, 2**18, 2**20),)),
        BackboneCost("b", 10, (Probe(64, 48, 30.0, 3 * 2**18, 3 * 2**20),)),
    ]
    found = made(Resources(1, 0, 1, 2), *costs, scheduler="none")
    assert found.trials == 20
    assert found.trial_seconds == 10 * 12 * 40
    assert found.kept_bytes == 10 * 4 * 2**18
    assert found.running_bytes == 2 * 3 * 3 * 2**20  # two at a time, two named and one being written, of the larger


def test_features_that_are_computed_once_are_counted_once():
    found = made(trials=10, scheduler="none", epochs=6)
    plain, longest = found.trial_seconds, found.costs[0].longest_seconds(6)
    for features, times in (
        (Features(100.0, 1, 20.0, lasting=True), 2 * 120),  # two processes
        (Features(100.0, 1, 20.0, lasting=False), 10 * 120),
        (Features(100.0, 4, 20.0, lasting=False), 10 * 420),
        (Features(100.0, 9, 20.0, lasting=False), 10 * 620),  # six epochs take no more than six views
    ):
        probes = tuple(dataclasses.replace(one, features=features) for one in found.costs[0].probes)
        (cost,) = (dataclasses.replace(one, probes=probes) for one in found.costs)
        once = dataclasses.replace(found, costs=(cost,))
        assert once.trial_seconds == pytest.approx(plain + times)
        assert cost.longest_seconds(6) == pytest.approx(longest + features.seconds(6))
        how = "process, for its trials start from the same" if features.lasting else "trial"
        views = f" for each of {features.views} views" if features.views > 1 else ""
        assert f"features of a  2 min{views} at 48 px, once in a {how}; 2 min" in report(once)


def test_gpu_hours():
    assert made(Resources(8, 1, 1, 4), scheduler="none").gpu_hours == pytest.approx(10 * 12 * 15 / 3600)
    assert made(Resources(8, 1, 2, 2), scheduler="none").gpu_hours == pytest.approx(2 * 10 * 12 * 15 / 3600)
    shared = made(Resources(2, 0.25, 1, 4), scheduler="none")  # four trials on one GPU: no quicker than one by one
    assert shared.seconds == shared.trial_seconds
    assert shared.gpu_hours == pytest.approx(shared.trial_seconds / 3600)
    assert made(Resources(8, 1, 1, 4), time_budget_seconds=36.0).gpu_hours == pytest.approx(4 * 36 / 3600)


def test_storage_follows_what_runs_side_by_side_and_how_often_a_checkpoint_is_due():
    assert made(epochs=1).running_bytes == 0  # its end needs none
    assert made(Resources(1, 0, 1, 4)).running_bytes == 4 * 3 * 2**20
    assert made(Resources(1, 0, 1, 64)).running_bytes == 10 * 3 * 2**20  # ten trials
    assert made(checkpoint_every=100.0).running_bytes == 2 * 1 * 2**20  # 12 epochs of 15 s: due once
    assert made(checkpoint_every=0.0).running_bytes == 2 * 3 * 2**20
    seldom = made(checkpoint_every=3600.0)
    assert seldom.running_bytes == 0
    assert "up to 2.5 MiB: 2.5 MiB for the best weights of 10 trials, which are over before a" in report(seldom)


def test_it_is_told_with_its_reasons():
    told = report(made(Resources(2, 0, 1, 4), backbones=["a"]))
    assert "10: 10 of a" in told
    assert "4, as many as fit on 8 CPUs" in told
    assert "2 CPUs (so that at most four trials run side by side), 0 GPUs (Ray has none)" in told
    assert "4.0 of 12 per trial on average: ASHA lets one in 3 go on after 2" in told
    assert "10.0 s at batch 64, 48 px; 20.0 s at batch 32, 48 px" in told
    assert "about 3 min" in told  # 10 trials, 4 epochs of 15 s, 4 at a time, but no less than 12 epochs
    assert "up to 14.5 MiB: 2.5 MiB for the best weights of 10 trials, and 12.0 MiB for the checkpoints of" in told
    told = report(made(Resources(2, 0, 1, 4), node_labels={"kind": "fast", "market": "!spot"}))
    assert "4, as many as fit on 8 CPUs with kind=fast, market=!spot" in told
    follows = "a: momentum is not searched"
    assert follows in report(dataclasses.replace(made(), told=(follows,)))
    waiting = made(Resources(8, 1, 1, None, 0))
    assert "1 GPU (one, since Ray has GPUs)" in report(waiting)
    assert "1 GPU (one, of the type asked for)" in report(dataclasses.replace(waiting, gpus=0.0))


def test_what_was_asked_is_told_as_asked():
    asked = {"cpus_per_trial": 2.0, "gpus_per_trial": 0.5, "concurrent": 3, "time_budget_seconds": 60.0}
    told = report(made(Resources(2, 0.5, 2, 3), scheduler="none", **asked))
    assert "3, as asked (--concurrent)" in told
    assert "2 CPUs (as asked), 0.5 GPUs (as asked), for each of 2 workers" in told
    assert "(at most 1 min, as asked)" in told
    assert "GPU hours" in told


def test_a_cluster_s_number_of_trials_is_told_as_open():
    told = report(made(Resources(2, 0, 1, None, 4), backbones=["a"]))
    assert "at a time      as many as fit, from moment to moment: 4 now, on 8 CPUs" in told
    assert "2 CPUs (so that at most four trials run side by side on a node), 0 GPUs (Ray has none now; " in told
    assert "about 3 min with 4 at a time" in told
    assert "about 3 min with 2 at a time" in report(made(Resources(2, 0, 1, None, 4), trials=2))
    told = report(made(Resources(8, 1, 1, None, 0), scheduler="none", gpus_per_trial=1.0))
    assert "as many as fit, from moment to moment: none now: no node of 4 GPUs and 8 CPUs has room for one" in told
    assert "about 30 min with 1 at a time" in told
    assert "GPU hours      about 0.5" in told


def test_time_on_another_device_is_not_guessed():
    """On a head without a GPU the steps say nothing about trials with one."""
    told = report(dataclasses.replace(made(Resources(8, 1, 1, 4)), device="cpu"))
    assert "unknown: trials get GPUs" in told
    assert "GPU hours" not in told
    assert "at batch" not in told


@pytest.fixture
def machine(monkeypatch):
    """Two CPUs and no GPU, without starting Ray."""
    monkeypatch.setattr(sizing, "ray_session", lambda dashboard: contextlib.nullcontext(False))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    monkeypatch.setattr(probe, "_STEPS", 2)
    monkeypatch.setattr(probe, "_WARM_UP", 1)


SPACE = """
backbone: cnn_simpler
search:
  learning_rate: {log_uniform: [1e-4, 1e-2]}
  batch_size: {choice: [16, 32, 64]}
  image_size: {choice: [24, 32]}
fixed: {ema_decay: 0.9}
"""


def test_steps_are_timed_at_the_ends_of_the_space(machine, tmp_path):
    tiny_dataset(tmp_path / "data")
    (tmp_path / "space.yaml").write_text(SPACE)
    before = sorted(tmp_path.rglob("*"))
    found = estimate(
        SearchOptions(tmp_path / "data", ["cnn_simpler"], spaces=[str(tmp_path / "space.yaml")], storage=tmp_path / "r")
    )
    assert sorted(tmp_path.rglob("*")) == before  # no run folder, nothing else either
    [cost] = found.costs
    assert [(probe.batch_size, probe.image_size) for probe in cost.probes] == [(64, 24), (64, 32), (16, 24), (16, 32)]
    assert all(0 < probe.epoch_seconds < 60 for probe in cost.probes)
    assert (found.device, found.images, found.resources) == ("cpu", (140, 70), Resources(1, 0, 1, 2, 2))
    assert report(found).count("at batch") == 4
    # three copies of the weights (the last, the best, the average) and AdamW's two moments, float32
    from fer_tune.models import create_model

    model = create_model("cnn_simpler", num_classes=7, in_chans=1, image_size=32)
    weights = sum(parameter.numel() * 4 for parameter in model.parameters())
    assert 5 * weights < cost.checkpoint_bytes < 5.5 * weights + 100_000


def test_what_is_timed_is_what_trains(machine, tmp_path, monkeypatch):
    """The network is computed as a trial's is, and frozen as a trial's is."""
    tiny_dataset(tmp_path / "data")
    (tmp_path / "space.yaml").write_text(
        "backbone: cnn_residual\nsearch: {batch_size: {choice: [16, 32]}}\nfixed: {freeze_depth: 2}\n"
    )
    planned = Plan("bf16", ("blocks.3.second.0",), "", "")
    asked, made = [], []

    def plan_for(config, model, card, device, steps, world):
        asked.append((config.batch_size, steps, world))
        return planned

    class Seen(Step):
        def __init__(self, model, *given):
            made.append((model, given[-1]))
            super().__init__(model, *given)

    monkeypatch.setattr(probe, "plan_for", plan_for)
    monkeypatch.setattr(probe, "Step", Seen)
    estimate(SearchOptions(tmp_path / "data", ["cnn_residual"], spaces=[str(tmp_path / "space.yaml")]))
    assert asked == [(32, 4, 1), (16, 9, 1)]  # of 140 images
    for model, dtype in made:
        assert dtype == torch.bfloat16
        assert [name for name, conv in other_ways(model).items() if type(conv) is not torch.nn.Conv2d] == [
            "blocks.3.second.0"
        ]
        frozen = {name.split(".")[0] for name, weight in model.named_parameters() if not weight.requires_grad}
        assert frozen == {"stem", "blocks"}


def test_features_are_timed_by_some_batches_of_them(machine, tmp_path, monkeypatch):
    tiny_dataset(tmp_path / "data", n_train=700, n_val=70, n_test=7)
    (tmp_path / "space.yaml").write_text(
        "backbone: cnn_residual\nsearch: {batch_size: {choice: [16, 32]}}\n"
        "fixed: {freeze_depth: 5, augmentation: 0.4, augmented_views: 30}\n"
    )
    computed = []
    whole = FeatureBatches.compute

    def counted(self, view):
        for _ in whole(self, view):
            computed.append(self.at_once)
            yield

    monkeypatch.setattr(FeatureBatches, "compute", counted)
    found = estimate(SearchOptions(tmp_path / "data", ["cnn_residual"], spaces=[str(tmp_path / "space.yaml")]))
    assert computed == [256] * 12  # three batches of each split, for each of two batch sizes
    for one in found.costs[0].probes:
        assert (one.features.views, one.features.lasting) == (30, False)
        assert one.features.view_seconds > one.features.looks_seconds > 0
    assert "for each of 30 views" in report(found)
    assert not fixed_features._kept  # what was not computed is nobody's features


def test_a_small_grid_has_no_more_trials_than_points(machine, tmp_path):
    tiny_dataset(tmp_path / "data")
    (tmp_path / "space.yaml").write_text("backbone: cnn_simpler\nsearch: {batch_size: {choice: [16, 32]}}\n")
    spaces = [str(tmp_path / "space.yaml")]
    found = estimate(SearchOptions(tmp_path / "data", ["cnn_simpler"], spaces=spaces, trials=20, sampler="grid"))
    assert found.trials == 2
    assert "2: 2 of cnn_simpler" in report(found)


def test_what_a_search_would_refuse_is_refused(machine, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        estimate(SearchOptions(tmp_path / "nowhere", ["cnn_simpler"]))
    tiny_dataset(tmp_path / "data")
    with pytest.raises(UserError, match="--cpus-per-trial 3"):
        estimate(SearchOptions(tmp_path / "data", ["cnn_simpler"], cpus_per_trial=3))
