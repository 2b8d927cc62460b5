"""Who stands against whom over several runs: backbones on the same datasets, or runs on one."""

from __future__ import annotations

import numpy as np

from analysis.results import TestResult
from analysis.statistics.comparing.aggregates import FEWEST, Aggregates, aggregate
from fer_tune.amounts import amount


def aggregated(tests: list[tuple[str, str, TestResult]]) -> tuple[Aggregates | None, str]:
    """Return the aggregates of tests over their seeds, and a sentence: what they are of, or why there are none.

    Contenders are the backbones, where there are several and none was tested twice on a dataset; else the runs.  On one
    dataset a score is the accuracy; on several it is how far that is from always answering the largest class (0) to
    every image right (1), as accuracies of unlike datasets are no scores of one scale.

    Args:
        tests: run, backbone and test of each; of a run, its winner first.
    """
    backbones = {backbone for _, backbone, _ in tests}
    places = {(backbone, test.split_hash) for _, backbone, test in tests}
    by_backbone = len(backbones) > 1 and len(places) == len(tests)
    found: dict[str, dict[str, TestResult]] = {}
    for run, backbone, test in tests:
        own = found.setdefault(backbone if by_backbone else run, {})
        own.setdefault(test.split_hash, test)  # of a run with several backbones, what comes first
    if len(found) < 2:
        return None, "No aggregates: two backbones or runs that were tested on the same images are needed."
    common = set.intersection(*(set(own) for own in found.values()))
    if not common:
        return None, "No aggregates: no held-out split was read by all that is compared here."
    shared = sorted(common)
    seeds = min(len(own[split].seeds) for own in found.values() for split in shared)
    if seeds < FEWEST:
        return None, f"No aggregates: they need {FEWEST} seeds of each, and one has {amount(seeds, 'seed')}."
    scores = {}
    for name, own in found.items():
        least = min(len(own[split].seeds) for split in shared)  # the same number on each dataset
        scores[name] = np.array([_scores(own[split], relative=len(shared) > 1)[:least] for split in shared])
    kind = "backbones" if by_backbone else "runs"
    what = "accuracy" if len(shared) == 1 else "score from 0 (always the largest class) to 1 (all right)"
    told = f"{what}, {kind} on {amount(len(shared), 'held-out split')}, 95 % intervals for new seeds alone"
    return aggregate(scores), told[0].upper() + told[1:]


def _scores(test: TestResult, *, relative: bool) -> list[float]:
    if not relative:
        return test.accuracy.per_seed
    room = max(1 - test.largest_class, 1e-9)
    return [(value - test.largest_class) / room for value in test.accuracy.per_seed]
