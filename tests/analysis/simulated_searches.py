"""Made-up searches by Optuna's TPE under ASHA, in which some settings do nothing: how often a report names one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna

from analysis.statistics.choosing.main_effects import Effect, main_effects
from analysis.trials.importance import FALSE_CLAIMS
from fer_tune.search.stopping_early.asha import Bracket

EPOCHS, GRACE, FACTOR, ABREAST = 12, 2, 3, 4
NAMES = [f"s{number}" for number in range(8)]


@dataclass(frozen=True)
class Truth:
    """What eight settings do: how much of the variance of the end, and of the pace, each explains; the rest is luck."""

    end: tuple[float, ...] = (0.0,) * 8
    pace: tuple[float, ...] = (0.0,) * 8

    def curve(self, settings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the accuracy after each epoch, (EPOCHS,)."""
        effects = np.sqrt(12) * (settings - 0.5)  # of variance 1
        end = effects @ np.sqrt(self.end) + np.sqrt(1 - sum(self.end)) * rng.normal()
        pace = np.exp(0.7 * (effects @ np.sqrt(self.pace) + np.sqrt(1 - sum(self.pace)) * rng.normal()))
        epochs = np.arange(1, EPOCHS + 1)
        # whoever is slow still comes to the same end: the pace matters in the first half alone
        early = np.exp(-epochs * pace / 2) * np.clip((EPOCHS - epochs) / (EPOCHS / 2), 0, 1)
        curve: np.ndarray = 0.6 + 0.05 * end - 0.3 * early + rng.normal(0, 0.003, EPOCHS)
        return curve


NOTHING = Truth()
TWO = Truth(end=(0.5, 0.2, 0, 0, 0, 0, 0, 0))
PACE = Truth(end=(0.0, 0.4, 0, 0, 0, 0, 0, 0), pace=(0.9, 0, 0, 0, 0, 0, 0, 0))


@dataclass(frozen=True)
class Ended:
    """The trials of a search: settings (N, 8), their best after each epoch (NaN after they ended), who is random."""

    settings: np.ndarray
    best: np.ndarray
    random: np.ndarray


def search(truth: Truth, trials: int, share: float, seed: int, sampler: str = "tpe") -> Ended:
    """Run a search of ``trials``, four abreast, a share of them at random and never stopped."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng = np.random.default_rng(seed)
    kinds: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(n_startup_trials=8, constant_liar=True, seed=seed),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    chosen, blind = kinds[sampler](), optuna.samplers.RandomSampler(seed=seed + 10**6)
    study = optuna.create_study(direction="maximize", sampler=chosen)
    bracket = Bracket(GRACE, EPOCHS, FACTOR)
    settings, best, random = [], [], []
    running: list[tuple[optuna.Trial, int]] = []
    curves: list[np.ndarray] = []
    ages: list[int] = []
    while len(settings) < trials or running:
        while len(settings) < trials and len(running) < ABREAST:
            number = len(settings)
            at_random = int((number + 1) * share + 1e-9) > int(number * share + 1e-9)
            study.sampler = blind if at_random else chosen
            trial = study.ask()
            settings.append([trial.suggest_float(name, 0, 1) for name in NAMES])
            curves.append(np.maximum.accumulate(truth.curve(np.array(settings[-1]), rng)))
            best.append(np.full(EPOCHS, np.nan))
            random.append(at_random)
            ages.append(0)
            running.append((trial, number))
        trial, number = running.pop(0)
        ages[number] += 1
        value = float(curves[number][ages[number] - 1])
        best[number][ages[number] - 1] = value
        trial.report(value, ages[number])
        stops = bracket.stops(str(number), ages[number], value) and not random[number]
        if ages[number] == EPOCHS:
            study.tell(trial, value)
        elif stops:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            running.append((trial, number))
    return Ended(np.array(settings), np.array(best), np.array(random) | (sampler == "random"))


def effects(ended: Ended, epoch: int) -> list[Effect]:
    """Return what a report would say of the accuracy after ``epoch`` epochs."""
    known = ended.random & ~np.isnan(ended.best[:, epoch - 1])
    columns = list(ended.settings[known].T)
    return main_effects(ended.best[known, epoch - 1], columns, [False] * len(columns), permutations=499)


def claims(
    truth: Truth,
    count: int,
    trials: int,
    share: float,
    alpha: float = FALSE_CLAIMS,
    *,
    sampler: str = "tpe",
    epoch: int = EPOCHS,
    first: int = 0,
) -> tuple[float, np.ndarray]:
    """Return how often a report names a setting that does nothing to the end, and how often each is named, (8,)."""
    named = np.array(
        [
            [effect.p < alpha for effect in effects(search(truth, trials, share, seed, sampler), epoch)]
            for seed in range(first, first + count)
        ]
    )
    idle = np.array(truth.end) == 0
    if epoch < EPOCHS:
        idle &= np.array(truth.pace) == 0
    return float(named[:, idle].any(axis=1).mean()), named.mean(0)


def drawn_claims(
    truth: Truth, trials: int, count: int, alpha: float = FALSE_CLAIMS, first: int = 0
) -> tuple[float, np.ndarray, float]:
    """Return the same of ``trials`` random trials alone, which no other trial touches, and the intervals' coverage."""
    rng = np.random.default_rng(first)
    named, held = [], []
    for _ in range(count):
        settings = rng.random((trials, 8))
        ends = np.array([np.max(truth.curve(each, rng)) for each in settings])
        found = main_effects(ends, list(settings.T), [False] * 8, level=1 - alpha, permutations=499)
        named.append([effect.p < alpha for effect in found])
        held.append([effect.low <= share <= effect.high for effect, share in zip(found, truth.end, strict=True)])
    idle = np.array(truth.end) == 0
    table = np.array(named)
    return float(table[:, idle].any(axis=1).mean()), table.mean(0), float(np.array(held).all(axis=1).mean())


def print_all(count: int) -> None:
    alpha = FALSE_CLAIMS
    for name, truth in (
        ("nothing matters", NOTHING),
        ("two matter", TWO),
        ("one matters, one the pace", PACE),
    ):
        for trials in (20, 40):
            wrong, named, held = drawn_claims(truth, trials, count, alpha)
            print(f"{trials} random trials, {name}: a report names an idle setting in {100 * wrong:.1f} % of the cases")
            powers = [(share, power) for share, power in zip(truth.end, named, strict=True) if share]
            told = [f"one of {100 * share:.0f} % is found in {100 * power:.0f} %" for share, power in powers]
            paced = [power for share, power in zip(truth.pace, named, strict=True) if share]
            told += [f"one that speeds learning alone is named in {100 * power:.1f} %" for power in paced]
            print("  " + "; ".join([*told, f"all intervals hold in {100 * held:.1f} %"]))
        wrong, named = claims(truth, max(20, count // 10), 66, 1 / 3 + 1e-6, alpha)
        told = ", ".join(f"{100 * power:.0f}" for power in named)
        print(f"  22 of 66 trials of TPE under ASHA at random: {100 * wrong:.1f} %; each setting named in {told} %")
