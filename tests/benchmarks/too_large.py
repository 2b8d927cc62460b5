"""What a search does where one combination in nine does not fit into memory, in parts of any size.

`python tests/benchmarks/too_large.py [seeds]` (20) has the sampler draw 60 trials from the space of resnet50, in which
the largest images in the largest batches do not fit; larger images are better, so that the best that fits lies beside
what does not.  Told as failures, from which TPE does not learn, against told as what breaks a constraint.  Nothing is
trained; a search that would have given up goes on, so that all are seen to their end.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from fer_tune.kinds import TOO_LARGE
from fer_tune.search.proposing.optuna_internals import forbid
from fer_tune.search.proposing.samplers import make_sampler
from fer_tune.search.running.ending import failing_alike
from fer_tune.search.spaces.loading import load_space

TRIALS, PARTS = 60, 4
SPACE = load_space("resnet50")
SIZES, BATCHES = (SPACE.parameters[name].values for name in ("image_size", "batch_size"))


def quality(settings: dict[str, Any], rng: np.random.Generator) -> float:
    rate = 0.05 * (math.log10(settings["learning_rate"]) + 3) ** 2
    augmentation = 0.02 * abs(settings["augmentation"] - 0.5)
    return 0.5 + 0.03 * SIZES.index(settings["image_size"]) - rate - augmentation + rng.normal(0, 0.01)


def search(seed: int, *, constrained: bool) -> tuple[list[bool], float, int | None]:
    """Return which trials were too large, the best of the others, and after how many trials it would have given up."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize", sampler=make_sampler("tpe", seed, SPACE, 1))
    large: list[bool] = []
    gave_up = None
    for number in range(TRIALS):
        trial = study.ask()
        settings = SPACE.suggest(trial)
        large.append((settings["image_size"], settings["batch_size"]) == (SIZES[-1], BATCHES[-1]))
        if not large[-1]:
            study.tell(trial, quality(settings, rng))
        elif constrained:
            forbid(study, trial.number, TOO_LARGE)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, state=TrialState.FAIL)
        if gave_up is None and failing_alike(["too large" if each else None for each in large]):
            gave_up = number + 1
    return large, max(trial.value or 0.0 for trial in study.trials), gave_up


def main(seeds: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    for constrained in (False, True):
        found = [search(seed, constrained=constrained) for seed in range(seeds)]
        shares = np.array([large for large, *_ in found], dtype=float).reshape(seeds, PARTS, -1).mean((0, 2))
        given_up = [number for *_, number in found if number is not None]
        best = float(np.mean([value for _, value, _ in found]))
        told = ", ".join(f"{100 * share:.0f} %" for share in shares)
        print(
            f"{'a constraint' if constrained else 'failures':12}: too large in each quarter {told}; "
            f"gave up {len(given_up)} of {seeds} {sorted(given_up)}; best {best:.4f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
