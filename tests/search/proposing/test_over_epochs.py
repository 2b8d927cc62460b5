"""The Gaussian process learns from curves that broke off, from other searches, and from what does not fit."""

from __future__ import annotations

import doctest

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

from fer_tune.kinds import TOO_LARGE
from fer_tune.search.proposing import gaussian_process, over_epochs
from fer_tune.search.proposing.gaussian_process import GaussianProcess, Points
from fer_tune.search.proposing.grid import LOST
from fer_tune.search.proposing.optuna_internals import forbid
from fer_tune.search.proposing.over_epochs import OverEpochs
from fer_tune.search.spaces.loading import from_resolved

SPACE = from_resolved(
    {"backbone": "cnn_simpler", "search": {"drop_rate": {"uniform": [0, 0.9]}, "batch_size": {"choice": [32, 64]}}}
)
EPOCHS = 8


def study_of(direction="maximize", least=8, epochs=EPOCHS, earlier=()):
    return optuna.create_study(direction=direction, sampler=OverEpochs(SPACE, 0, epochs, least, earlier))


def curve(rate, epoch):
    """The best rate is 0.6, and what begins best is not."""
    return (0.9 - abs(rate - 0.6)) * (1 - 0.9 ** (epoch * (1 - rate / 2)))


def drawn(study, count, last=EPOCHS, sign=1, value=curve):
    """Return the rates of so many more trials, each stopped after ``last`` epochs."""
    rates = []
    for _ in range(count):
        trial = study.ask()
        rates.append(SPACE.suggest(trial)["drop_rate"])
        for epoch in range(1, last + 1):
            trial.report(sign * value(rates[-1], epoch), epoch)
        study.tell(trial, state=TrialState.PRUNED)
    return rates


def near(rates, at=0.6):
    return sum(abs(rate - at) < 0.1 for rate in rates)  # a ninth or two of them by chance


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_it_learns_from_trials_of_which_none_ran_to_its_end(direction, sign):
    assert near(drawn(study_of(direction), 20, 3, sign)[-10:]) >= 7


def test_what_has_a_value_counts_while_it_goes_on():
    study = study_of(least=4)
    for rate in (0.1, 0.3, 0.6, 0.8):
        study.enqueue_trial({"drop_rate": rate, "batch_size": 32})
        trial = study.ask()
        trial.report(curve(SPACE.suggest(trial)["drop_rate"], 2), 2)  # and no more for now
    assert near(drawn(study, 10)) >= 6


def test_trials_side_by_side_do_not_draw_the_same():
    study = study_of(least=4)
    drawn(study, 4, last=1)
    rates = [SPACE.suggest(study.ask())["drop_rate"] for _ in range(4)]  # nothing is known of any
    assert np.diff(sorted(rates)).min() > 0.01


def test_a_loss_that_diverged_hides_no_difference_between_the_others():
    def diverging(rate, epoch):
        return curve(rate, epoch) if rate > 0.2 else -1e6

    assert near(drawn(study_of(), 24, value=diverging)[-10:]) >= 7


def test_an_earlier_search_stands_in_for_the_random_start():
    rates = np.linspace(0, 0.9, 30)
    beats = 2 * np.argsort(np.argsort(-np.abs(rates - 0.6))) / 29 - 1
    earlier = [[({"drop_rate": rate, "batch_size": 32}, beat) for rate, beat in zip(rates, beats, strict=True)]]
    first, second = drawn(study_of(earlier=earlier), 2)
    assert abs(first - 0.6) < 0.1 > abs(second - 0.6)


def test_an_earlier_search_that_was_otherwise_is_soon_seen_through():
    rates = np.linspace(0, 0.9, 30)
    beats = 2 * np.argsort(np.argsort(np.abs(rates - 0.6))) / 29 - 1  # the other way round
    earlier = [[({"drop_rate": rate, "batch_size": 32}, beat) for rate, beat in zip(rates, beats, strict=True)]]
    rates = drawn(study_of(earlier=earlier), 24)[-12:]
    assert near(rates) >= 6
    assert sum(rate < 0.3 for rate in rates) <= 2  # where the earlier one has its best


@pytest.mark.parametrize("way", ["too large", "failed"])
def test_what_does_not_fit_or_fails_before_its_first_value_is_kept_away_from(way):
    study = study_of()
    broken = []
    for _ in range(30):
        trial = study.ask()
        settings = SPACE.suggest(trial)
        broken.append(settings["batch_size"] == 64)
        if not broken[-1]:
            trial.report(curve(settings["drop_rate"], EPOCHS), EPOCHS)
        elif way == "too large":
            forbid(study, trial.number, TOO_LARGE)
        study.tell(trial, state=TrialState.FAIL if broken[-1] and way == "failed" else TrialState.PRUNED)
    assert sum(broken[-15:]) <= 3


def test_what_was_lost_with_the_driver_is_no_failure():
    study = study_of(least=1)
    for rate, lost in ((0.3, False), (0.6, True), (0.6, True)):
        study.enqueue_trial({"drop_rate": rate, "batch_size": 32})
        trial = study.ask()
        SPACE.suggest(trial)
        if lost:
            trial.set_user_attr(LOST, True)
        else:
            trial.report(curve(rate, EPOCHS), EPOCHS)
        study.tell(trial, state=TrialState.FAIL if lost else TrialState.PRUNED)
    assert near(drawn(study, 8)) >= 4


def test_one_epoch_and_one_value_are_enough():
    study = study_of(least=1, epochs=1)
    assert len(set(drawn(study, 5, last=1))) == 5


def test_of_more_points_than_are_learnt_from_each_trial_keeps_its_last(monkeypatch):
    monkeypatch.setattr("fer_tune.search.proposing.over_epochs._MOST", 12)
    known = []
    fitted = GaussianProcess.fitted
    monkeypatch.setattr(GaussianProcess, "fitted", lambda points: known.append(points) or fitted(points))
    drawn(study_of(), 14)
    assert max(len(points.values) for points in known) == 12
    assert known[-1].epochs.tolist() == [1.0] * 12  # of thirteen trials twelve, each at its end
    assert len(known) >= 3  # the parameters are found anew as the search goes on, however few points are taken


def test_of_many_earlier_searches_each_lends_a_few_trials(monkeypatch):
    known = []
    fitted = GaussianProcess.fitted
    monkeypatch.setattr(GaussianProcess, "fitted", lambda points: known.append(points) or fitted(points))
    search = [({"drop_rate": rate, "batch_size": 32}, 0.0) for rate in np.linspace(0, 0.9, 60)]
    for count, each in ((2, 60), (50, 3)):
        drawn(study_of(earlier=[search] * count), 1)
        assert torch.bincount(known[-1].searches)[1:].tolist() == [each] * count


def test_parameters_are_those_of_the_priors_where_no_others_can_be_found(monkeypatch):
    def fails(*_):
        raise torch.linalg.LinAlgError

    monkeypatch.setattr(torch.optim.LBFGS, "step", fails)
    one = torch.ones(1, dtype=torch.float64)
    process = GaussianProcess.fitted(Points(one[:, None], one, torch.zeros(1, dtype=torch.int64), one))
    assert process.predict(one[:, None])[0].item() == pytest.approx(1, abs=0.05)


def test_a_curve_that_broke_off_is_told_from_one_that_ended():
    """A third of the way says less about the end than the end does, and more than nothing."""

    def deviation(*known):
        settings, epochs = (torch.tensor(column, dtype=torch.float64) for column in zip(*known, strict=True))
        points = Points(settings[:, None], epochs, torch.zeros(len(known)), torch.full_like(epochs, 0.5))
        return GaussianProcess.fitted(points).predict(torch.tensor([[0.2]], dtype=torch.float64))[1].item()

    assert deviation((0.2, 1.0), (0.8, 1.0)) < deviation((0.2, 0.3), (0.8, 1.0)) < deviation((0.8, 1.0))


def test_the_examples_are_true():
    assert doctest.testmod(over_epochs) == (0, 3)
    assert doctest.testmod(gaussian_process).failed == 0


def test_through_noise_what_is_hardly_known_is_tried_beside_what_seems_better():
    """One batch size is somewhat better, which is known from 24 trials; the other has two, and noise as large."""
    other = 0
    for seed in range(4):
        rng, study = np.random.default_rng(seed), study_of(least=1)
        first = [(rate, 32) for rate in rng.uniform(0, 0.9, 24)] + [(0.2, 64), (0.7, 64)]
        for rate, size in first:
            study.enqueue_trial({"drop_rate": rate, "batch_size": size})
        for number in range(len(first) + 12):
            trial = study.ask()
            size = SPACE.suggest(trial)["batch_size"]
            trial.report(0.3 * (size == 32) + rng.normal(scale=0.3), EPOCHS)
            study.tell(trial, state=TrialState.PRUNED)
            other += number >= len(first) and size == 64
    assert other >= 12  # of 48; by plain expected improvement seven
