"""Where the settings of the next trial come from: Optuna's samplers, as this project uses them."""

from __future__ import annotations

import warnings

import optuna
from optuna.samplers import BaseSampler

from fer_tune.run_folder import Sampler

_STARTUP = 8  # trials drawn at random before there is something to learn from


def make_sampler(kind: Sampler, seed: int) -> BaseSampler:
    """Return a sampler.

    * ``tpe``: the tree-structured Parzen estimator (Bergstra et al. 2011), over all settings together, with constant
      liar for trials that run side by side; it learns from stopped trials too (Optuna's documentation, TPESampler).
    * ``gp``: a Gaussian process with expected improvement; it learns from completed trials alone (Optuna's
      documentation, GPSampler).
    * ``random``: independent draws, the baseline that every other one has to beat.
    """
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if kind == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=_STARTUP, deterministic_objective=False)
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, n_startup_trials=_STARTUP, seed=seed
        )
