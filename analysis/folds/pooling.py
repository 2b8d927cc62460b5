"""The tests of all folds as one: every person once, with an interval that counts people."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.folds.result import ClassRecall, FoldsResult, FoldTest, OverPeople
from analysis.result import Run
from analysis.results import TestResult
from analysis.run.predictions import Predictions
from analysis.statistics import metrics
from analysis.statistics.intervals import RESAMPLES, Metric, wilson
from analysis.statistics.people import confusions_of_people, over_people, recall_where_seen

_METHOD = (
    "Every person is held out in one fold, and tested by models that were searched, chosen and trained without them; "
    "the mean of a fold's seeds counts. The 95 % interval is for other people: {resamples:,} bootstrap resamples of "
    "the {people:,} people, each with all of their images, with Hesterberg's expanded quantiles. It holds neither new "
    "seeds nor other training people: the folds share most of those, and from them no unbiased variance can be had "
    "(Bengio and Grandvalet 2004). The sd is between folds, whose held-out people and configurations differ."
)


def pool(dataset: str, tested: list[tuple[str, Run]]) -> FoldsResult:
    """Return what the tested runs of all folds come to.

    Args:
        dataset: its name.
        tested: name of each fold, and its run, which was tested.
    """
    tests = [run.tests[0] for _, run in tested]
    found = [run.predictions(test.config_id) for (_, run), test in zip(tested, tests, strict=True)]
    classes = found[0].classes
    each = [_of_people(one, len(classes)) for one in found]
    confusions = np.concatenate(each)
    accuracies = [test.accuracy.value for test in tests]
    shown = (confusions.sum(2) > 0).sum(0)  # people who show each class
    value, low, high = over_people(recall_where_seen, confusions)
    total = confusions.sum(0)
    return FoldsResult(
        dataset=dataset,
        classes=classes,
        people=len(confusions),
        images=sum(len(one.labels) for one in found),
        mean=float(np.mean(accuracies)),
        sd=float(np.std(accuracies, ddof=1)),
        accuracy=_over(metrics.accuracy, confusions),
        balanced_accuracy=_over(metrics.balanced_accuracy, confusions),
        macro_f1=_over(metrics.macro_f1, confusions),
        per_class=[
            ClassRecall(
                name=name,
                people=int(shown[place]),
                images=round(float(total[place].sum())),
                recall=_widened(value[place], low[place], high[place], int(shown[place])),
            )
            for place, name in enumerate(classes)
        ],
        confusion=total.tolist(),
        method=_METHOD.format(resamples=RESAMPLES, people=len(confusions)),
        folds=[_fold(name, run, test, len(own)) for (name, run), test, own in zip(tested, tests, each, strict=True)],
    )


def _of_people(one: Predictions, classes: int) -> NDArray[np.float64]:
    return confusions_of_people(one.labels, one.probabilities.argmax(-1), one.groups, classes)


def _over(metric: Metric, confusions: NDArray[np.float64]) -> OverPeople:
    value, low, high = over_people(metric, confusions)
    return _widened(float(value), float(low), float(high), len(confusions))


def _widened(value: float, low: float, high: float, people: int) -> OverPeople:
    """Give a share that is the same in every resample, where a bootstrap sees no uncertainty, Wilson's interval."""
    if low == high and people:
        alone = wilson(round(value * people), people)
        low, high = alone.low, alone.high
    return OverPeople(value=value, low=low, high=high)


def _fold(name: str, run: Run, test: TestResult, people: int) -> FoldTest:
    refits: list[Any] = run.finals if test.trained_on == "train+val" else run.refits
    refit = next(each for each in refits if each.config.config_id == test.config_id)
    return FoldTest(
        fold=name,
        run=run.folder.name,
        people=people,
        images=test.images,
        config_id=test.config_id,
        origin=test.origin,
        seeds=len(test.seeds),
        val_accuracy=refit.mean,
        accuracy=test.accuracy.value,
        openings=len(run.openings),
    )
