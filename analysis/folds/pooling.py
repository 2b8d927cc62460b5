"""The tests of all folds as one: every person once, with intervals that count people."""

from __future__ import annotations

import numpy as np

from analysis.folds.result import FoldsResult, FoldTest
from analysis.result import Run
from analysis.results import TestResult
from analysis.statistics.scores import score
from analysis.words import full


def pool(dataset: str, tested: list[tuple[str, Run]]) -> FoldsResult:
    """Return what the tested runs of all folds come to.

    The first seeds of all folds make one column of predictions for everybody, the second ones another, and so forth: as
    many as the fold with the fewest has.

    Args:
        dataset: its name.
        tested: name of each fold, and its run, which was tested.
    """
    tests = [run.tests[0] for _, run in tested]
    found = [run.predictions(test.config_id) for (_, run), test in zip(tested, tests, strict=True)]
    seeds = min(len(one.seeds) for one in found)
    groups = [name for one in found for name in one.groups]
    accuracies = [test.accuracy.value for test in tests]
    return FoldsResult(
        dataset=dataset,
        people=len(set(groups)),
        mean=float(np.mean(accuracies)),
        sd=float(np.std(accuracies, ddof=1)),
        pooled=score(
            np.concatenate([one.labels for one in found]),
            np.concatenate([one.probabilities[:seeds] for one in found], axis=1),
            found[0].classes,
            list(range(1, seeds + 1)),
            groups=groups,
        ),
        folds=[
            _fold(name, run, test, len(set(one.groups)))
            for (name, run), test, one in zip(tested, tests, found, strict=True)
        ],
    )


def _fold(name: str, run: Run, test: TestResult, people: int) -> FoldTest:
    refits = run.finals if test.trained_on == "train+val" else run.refits
    refit = next(each for each in refits if each.config.config_id == test.config_id)
    return FoldTest(
        fold=name,
        run=run.folder.name,
        people=people,
        images=test.images,
        config_id=test.config_id,
        origin=test.origin,
        seeds=len(test.seeds),
        validation=full(refit.mean, refit.aim),
        accuracy=test.accuracy.value,
        openings=len(run.openings),
    )
