"""A Gaussian process over settings and epochs: what a trial would reach, from whole and broken-off learning curves.

The covariance of two points is a product over settings and epochs, as in multi-task Bayesian optimisation (Swersky,
Snoek and Adams 2013) and in Lin et al. (2025, "Scaling Gaussian Processes for Learning Curve Prediction via Latent
Kronecker Structure"), plus a curve that all trials share:

    matern(x, x') * (level + change * rbf(e, e')) * relation + shared * rbf(e, e')

with a Matérn 5/2 covariance that has a length for each setting, epochs ``e`` on a logarithmic scale, and ``relation`` 1
within a search and less between searches.  Its parameters are the most probable ones under priors, found by L-BFGS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_STEPS = 40  # of L-BFGS: more gain nothing that the replays of tests/benchmarks/efficiency.py show
_JITTER = 1e-6  # of values with a variance of one: keeps the Cholesky factor of equal settings from failing
_SHARED = 0.5  # length of the curve that all trials share, of the epochs' logarithmic scale


@dataclass(frozen=True)
class Points:
    """What is known, a row for each point.

    Attributes:
        settings: (n, d) float64 in [0, 1].
        epochs: (n,) float64 in [0, 1], 1 at the end of a whole trial.
        searches: (n,) int64, which search a point is of; 0 is the one that goes on.
        values: (n,) float64, of a variance of about one, larger is better.
    """

    settings: Tensor
    epochs: Tensor
    searches: Tensor
    values: Tensor

    def __add__(self, other: Points) -> Points:
        return Points(*(torch.cat([getattr(self, name), getattr(other, name)]) for name in self.__dataclass_fields__))


class GaussianProcess:
    """See the module.

    >>> settings = torch.tensor([[0.0], [0.5], [1.0]], dtype=torch.float64)
    >>> ends = torch.ones(3, dtype=torch.float64)
    >>> known = Points(settings, ends, torch.zeros(3, dtype=torch.int64), torch.tensor([-1.0, 1.0, -1.0]).double())
    >>> process = GaussianProcess.fitted(known)
    >>> mean, deviation = process.predict(settings[1:2] + 0.01)
    >>> bool(0.5 < mean < 1.1), bool(deviation < 0.5)
    (True, True)
    """

    def __init__(self, parameters: Tensor, points: Points) -> None:
        self._parameters, self._points = parameters, points
        with torch.no_grad():
            self._factor = _factor(parameters, points)
            self._weights = torch.cholesky_solve(points.values[:, None], self._factor)

    @classmethod
    def fitted(cls, points: Points) -> GaussianProcess:
        """Return the process with the most probable parameters; those of the priors where the search for them fails."""
        middle, spread = _priors(points.settings.shape[1])
        found = middle.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([found], max_iter=_STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-4)

        def loss() -> Tensor:
            optimizer.zero_grad()
            factor = _factor(found, points)
            weights = torch.cholesky_solve(points.values[:, None], factor)
            misfit = 0.5 * (points.values @ weights).sum() + factor.diagonal().log().sum()
            improbable = 0.5 * (((found - middle) / spread) ** 2).sum()
            total: Tensor = misfit + improbable
            total.backward()
            return total

        try:
            optimizer.step(loss)
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # PyTorch's stubs lack it
            return cls(middle, points)  # a step went where the matrix is not positive definite
        return cls(found.detach() if found.isfinite().all() else middle, points)

    def given(self, points: Points) -> GaussianProcess:
        """Return the process with the same parameters and other points."""
        return GaussianProcess(self._parameters, points)

    @property
    def noise(self) -> float:
        """Standard deviation of what trials of the same settings show, which differ in their seeds."""
        return math.sqrt(float(self._parameters[self._points.settings.shape[1] + 3].exp()))

    def predict(self, settings: Tensor) -> tuple[Tensor, Tensor]:
        """Return (m,) means and standard deviations of what (m, d) settings reach at the end, in this search."""
        ends = Points(settings, torch.ones(len(settings)), torch.zeros(len(settings)), torch.zeros(0))
        with torch.no_grad():
            across = _covariance(self._parameters, ends, self._points)
            explained = torch.linalg.solve_triangular(self._factor, across.T, upper=False)
            level, change, *_, shared = self._parameters[settings.shape[1] :][:5].exp()
            variance = level + change + shared - (explained**2).sum(0)
            return (across @ self._weights)[:, 0], variance.clamp_min(1e-10).sqrt()


def _priors(settings: int) -> tuple[Tensor, Tensor]:
    """Return middles and spreads of the parameters' normal priors: of their logarithms, and of a logit for the last.

    Lengths grow with the root of the number of settings, or a covariance of many settings would forget at any distance
    (Hvarfner, Hellsten and Nardi 2024, "Vanilla Bayesian Optimization Performs Great in High Dimensions").  Most of
    the variance, one in all, is that between settings; the noise, of seeds and few validation images, is small beside.
    """
    lengths = [(math.log(0.5 * math.sqrt(settings)), 1.0)] * settings
    level, change, length, noise, shared = ((math.log(at), by) for at, by in _PRIORS)
    middle, spread = zip(*lengths, level, change, length, noise, shared, (0.0, 1.0), strict=True)
    return torch.tensor(middle, dtype=torch.float64), torch.tensor(spread, dtype=torch.float64)


_PRIORS = ((0.7, 1.0), (0.3, 1.0), (0.4, 1.0), (5e-3, 1.5), (0.3, 1.0))
# of level, change, the length of a change in epochs, noise (which differs most between data sets), shared curve


def _factor(parameters: Tensor, points: Points) -> Tensor:
    noise = parameters[points.settings.shape[1] + 3].exp() + _JITTER
    own = noise * torch.eye(len(points.values), dtype=torch.float64)
    factor: Tensor = torch.linalg.cholesky(_covariance(parameters, points, points) + own)
    return factor


def _covariance(parameters: Tensor, ones: Points, others: Points) -> Tensor:
    count = ones.settings.shape[1]
    lengths = parameters[:count].exp()
    level, change, length, _, shared = parameters[count : count + 5].exp()
    distance = math.sqrt(5) * torch.cdist(ones.settings / lengths, others.settings / lengths).clamp_min(1e-9)
    matern = (1 + distance + distance**2 / 3) * torch.exp(-distance)
    apart = (ones.epochs[:, None] - others.epochs) ** 2
    same = ones.searches[:, None] == others.searches
    relation = torch.where(same, 1.0, torch.sigmoid(parameters[-1]))
    curves = level + change * torch.exp(-0.5 * apart / length**2)
    together: Tensor = matern * curves * relation + same * shared * torch.exp(-0.5 * apart / _SHARED**2)
    return together
