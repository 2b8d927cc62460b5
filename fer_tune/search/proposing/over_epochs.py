"""A sampler that learns from each epoch of each trial, also of those that were stopped or go on.

Most trials of a search are stopped early, and a sampler that looks at ends alone has few of them to learn from.  Here a
Gaussian process over settings and epochs (`gaussian_process` beside this) predicts what settings would reach at the
end, and those are drawn that are expected to improve most on the best that is known.  Where one more trial would tell
little, since seeds differ by more than what is in doubt, the expected improvement counts for less (Huang et al. 2006,
"Global Optimization of Stochastic Black-Box Systems via Sequential Kriging Meta-Models").  Without that a search
through noise may go on for ever around the first good settings that it has met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from fer_tune.search.proposing.encoding import Encoding, Units
from fer_tune.search.proposing.gaussian_process import GaussianProcess, Points
from fer_tune.search.proposing.grid import LOST
from fer_tune.search.spaces.space import SearchSpace

_CANDIDATES = 1_500  # settings of which the most promising is taken: half near the best five, half from all the space
_NEAREST = 5
_MOST = 300  # points to learn from: finding the parameters takes time by the cube of it, a second or two for so many
_MOST_EARLIER = 150  # and so many of all earlier searches, each with the same share; of two, 60 each were replayed
_GROWTH = 1.1  # times as many trials as the parameters were found from: then they are found anew
_CLOSE = 1.5  # a point of a curve that is learnt from lies so many times further on: nearer ones say the same again
_BELOW = 3.0  # what is further below the median than so many times what the best is above it counts as there


class OverEpochs(BaseSampler):
    """See the module.

    Args:
        space: what it draws from.
        seed: of its random numbers.
        epochs: of a whole trial.
        least: trials with a value to learn from, earlier ones counted too; with fewer it draws at random.
        earlier: settings and what they beat (from -1 to 1) in each of some earlier searches, other networks' too, in an
            order that says nothing, for of many searches only the first are learnt from.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        epochs: int,
        least: int,
        earlier: Sequence[Sequence[tuple[Mapping[str, Any], float]]] = (),
    ) -> None:
        self._encoding = Encoding(space)
        self._rng, self._random = np.random.default_rng(seed), RandomSampler(seed=seed)
        self._epochs, self._least = epochs, least
        share = max(_MOST_EARLIER // max(len(earlier), 1), 1)
        self._earlier = [self._of_search(number, search[:share]) for number, search in enumerate(earlier, 1) if search]
        self._quality, self._fitting = _Growing(), _Growing()

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All settings, also those that apply under a condition: what is not asked for is not taken."""
        return self._encoding.distributions

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw at random, while there is nothing to learn from."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the settings that are expected to improve most; none while there is too little to learn from."""
        trials = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number and each.params]
        seen = [each for each in trials if each.intermediate_values]
        if len(seen) + sum(len(points.values) for points in self._earlier) < self._least or not search_space:
            return {}
        sign = -1.0 if study.direction == StudyDirection.MINIMIZE else 1.0
        known = self._points(seen, sign)
        process = self._quality.of(known, len(seen))
        waiting = [each.params for each in trials if not each.intermediate_values and each.state == TrialState.RUNNING]
        if waiting:  # they count with what is expected of them, so that the same is not drawn again
            expected, _ = process.predict(self._cube(waiting))
            process = process.given(known + _at_end(self._cube(waiting), expected))
        of_seen = self._cube([each.params for each in seen])
        reached, unsure = process.predict(of_seen)
        order = reached.argsort(descending=True)[:_NEAREST].tolist()
        units = self._candidates([self._encoding.units(seen[index].params) for index in order])
        candidates = torch.tensor(self._encoding.points_of(units))
        # of settings that are surely good, as Huang et al. have it: a lucky value is not what is to be beaten
        best = float(reached[(reached - unsure).argmax()]) if len(seen) else 0.0
        gain = augmented_improvement(*process.predict(candidates), best, process.noise)
        gain = gain * self._fits(trials, candidates)
        return self._encoding.settings(units[int(gain.argmax())])

    def _points(self, seen: Sequence[FrozenTrial], sign: float) -> Points:
        """Return what is learnt from: some epochs of each curve, the last ones first if there are too many."""
        last: list[tuple[FrozenTrial, int]] = []
        before: list[tuple[FrozenTrial, int]] = []
        for trial in seen:
            epochs = _spread(sorted(trial.intermediate_values))
            last.append((trial, epochs[-1]))
            before += [(trial, epoch) for epoch in epochs[:-1]]
        if len(last) > _MOST:
            last = [last[index] for index in np.sort(self._rng.permutation(len(last))[:_MOST])]
        room = _MOST - len(last)
        chosen = last + [before[index] for index in np.sort(self._rng.permutation(len(before))[:room])]
        values = np.array([sign * trial.intermediate_values[epoch] for trial, epoch in chosen])
        at = np.log([min(epoch, self._epochs) for _, epoch in chosen]) / max(np.log(self._epochs), 1e-9)
        own = Points(
            self._cube([trial.params for trial, _ in chosen]),
            torch.tensor(at) if self._epochs > 1 else torch.ones(len(chosen), dtype=torch.float64),
            torch.zeros(len(chosen), dtype=torch.int64),
            torch.tensor(_standard(values)),
        )
        for earlier in self._earlier:
            own = own + earlier
        return own

    def _of_search(self, number: int, search: Sequence[tuple[Mapping[str, Any], float]]) -> Points:
        """Return an earlier search: what its trials beat, as a normal value would."""
        at_end = _at_end(self._cube([settings for settings, _ in search]), torch.tensor([beats for _, beats in search]))
        values = torch.special.ndtri(0.5 + 0.5 * at_end.values.clamp(-0.99, 0.99))
        return replace(at_end, values=values, searches=torch.full_like(at_end.searches, number))

    def _cube(self, settings: Sequence[Mapping[str, Any]]) -> Tensor:
        return torch.tensor(self._encoding.points(settings), dtype=torch.float64)

    def _candidates(self, best: Sequence[Units]) -> Units:
        """Return (m, p) units: from all the space, and near the best ones, some of whose settings are changed."""
        choices = np.array(self._encoding.choices())
        units = self._rng.random((_CANDIDATES, len(choices)))
        if best:
            count = _CANDIDATES // 2
            near = np.array(best)[self._rng.integers(len(best), size=count)]
            step = self._rng.normal(size=near.shape) * self._rng.choice([0.03, 0.1, 0.25], (count, 1))
            changed = self._rng.random(near.shape) < self._rng.choice([0.3, 0.6, 1.0], (count, 1))
            anew = self._rng.random(near.shape) < 0.2
            moved = np.where(choices > 0, np.where(anew, self._rng.random(near.shape), near), near + step * changed)
            units[:count] = moved.clip(0.0, 1.0 - 1e-9)
        return units

    def _fits(self, trials: Sequence[FrozenTrial], candidates: Tensor) -> Tensor:
        """Return (m,) how likely candidates come to a value, by what did and did not; all alike while all did.

        What does not fit into memory did not, and what failed before its first value, as a loss that diverges at once.
        """
        ended = [each for each in trials if each.state.is_finished() and not each.user_attrs.get(LOST)]
        broken = torch.tensor([bool(each.constraints) or _never_began(each) for each in ended])
        if not broken.any():
            return torch.ones(len(candidates), dtype=torch.float64)
        known = _at_end(self._cube([each.params for each in ended]), 1.0 - 2.0 * broken.double())
        mean, deviation = self._fitting.of(known, len(ended)).predict(candidates)
        likely: Tensor = torch.special.ndtr(mean / deviation)
        return likely


def _never_began(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and not trial.intermediate_values


class _Growing:
    """A process of more and more trials; its parameters are found anew once there are a tenth more of them."""

    def __init__(self) -> None:
        self._trials = 0
        self._found: GaussianProcess | None = None

    def of(self, known: Points, trials: int) -> GaussianProcess:
        """Return the process of ``known``, which stands for so many ``trials``."""
        if self._found is None or trials >= _GROWTH * self._trials:
            self._trials, self._found = trials, GaussianProcess.fitted(known)
            return self._found
        return self._found.given(known)


def _at_end(settings: Tensor, values: Tensor) -> Points:
    ones = torch.ones(len(settings), dtype=torch.float64)
    return Points(settings, ones, torch.zeros(len(settings), dtype=torch.int64), values.double())


def _spread(epochs: Sequence[int]) -> list[int]:
    """Return the first and the last of some epochs, and those between that lie far enough apart."""
    chosen = [epochs[0]]
    for epoch in epochs[1:-1]:
        if epoch >= _CLOSE * chosen[-1]:
            chosen.append(epoch)
    return chosen if len(epochs) == 1 else [*chosen, epochs[-1]]


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values of mean 0 and variance 1; those far below the rest, of a loss that diverged, count as less far."""
    if not len(values):
        return values
    median, best = float(np.median(values)), float(values.max())
    values = values.clip(median - _BELOW * (best - median) if best > median else -np.inf)
    spread = float(values.std())
    standard: NDArray[np.float64] = (values - values.mean()) / (spread or 1.0)
    return standard


def augmented_improvement(mean: Tensor, deviation: Tensor, best: float, noise: float) -> Tensor:
    """Return (m,) by how much each is expected to be better than ``best``, times what one trial of it would tell.

    Worse counts as no better.  What is known to a tenth tells less, through noise of a half, than what is not known:

    >>> mean, deviation = torch.tensor([1.0, 0.0]), torch.tensor([0.1, 0.8])
    >>> augmented_improvement(mean, deviation, 0.9, noise=0.0).argmax().item()
    0
    >>> augmented_improvement(mean, deviation, 0.9, noise=0.5).argmax().item()
    1

    Args:
        mean: (m,) of what candidates reach.
        deviation: (m,) how unsure that is.
        best: to be improved on.
        noise: standard deviation of what a trial shows of it.
    """
    above = (mean - best) / deviation
    normal = torch.distributions.Normal(0.0, 1.0)
    gain = deviation * (above * normal.cdf(above) + normal.log_prob(above).exp())
    augmented: Tensor = gain * (1.0 - noise / (deviation**2 + noise**2).sqrt())
    return augmented
