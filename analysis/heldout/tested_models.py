"""The models of the configuration that won the latest test: what a further reading is of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.refits.plan import seed_config
from analysis.refits.predictor import Predictor
from analysis.results import TestResult
from analysis.run import RunRecord
from fer_tune.data.prepared.store import Split
from fer_tune.errors import UserError
from fer_tune.filing.layout import BEST
from fer_tune.run_folder import TrainedOn
from fer_tune.storage.runs import needed

AT_ONCE = 512  # images that are read, changed and predicted at a time: what lies in memory is of that many


def tested_winner(run: RunRecord, why: str) -> TestResult:
    """Return the winner of the run's latest test.

    Args:
        run: the run.
        why: what it is asked for, as an option.

    Raises:
        UserError: the run was not tested yet.
    """
    if not run.tests:
        raise UserError(
            f"{why}: {run.place} was not tested yet; what is read further is the model that was tested: "
            f"`fer-tune test {run.quoted}` first"
        )
    return run.tests[0]


class TestedModels:
    """The models of a tested configuration, a seed each, all in memory.

    Raises:
        UserError: they are not those that were tested.
    """

    __test__ = False  # not a test case, whatever its name says to pytest

    def __init__(self, run: RunRecord, test: TestResult, predictor: Predictor) -> None:
        self.predictor = predictor
        on: TrainedOn = "train" if test.trained_on == "train" else "train+val"
        refits = run.refits if on == "train" else run.finals
        refit = next((each for each in refits if each.config.config_id == test.config_id), None)
        if refit is None or [each.seed for each in refit.completed] != test.seeds:
            raise UserError(
                f"{run.place}: {test.config_id} was refitted anew since its test, so these are not the models that "
                f"were tested; `fer-tune test {run.quoted} --again` tests them"
            )
        self._settings = [seed_config(run, refit, seed, on) for seed in test.seeds]
        files = [needed(run.folder, run.folder.refit_seed(test.config_id, seed, on) / BEST) for seed in test.seeds]
        for file in files:
            if not file.is_file():
                raise UserError(f"{file}: missing; a further reading needs the models that were tested")
        self._models = [predictor.load(own, file) for own, file in zip(self._settings, files, strict=True)]

    def predict(self, split: Split) -> NDArray[Any]:
        """Return (S, N, C) probabilities of the images of ``split``."""
        pairs = zip(self._models, self._settings, strict=True)
        return np.stack([self.predictor.predict(model, own, split) for model, own in pairs])

    def check(self, run: RunRecord, test: TestResult, validation: Split) -> None:
        """See that each model does on validation what it did when it was trained, before anything is opened.

        Raises:
            UserError: one does not.
        """
        if test.trained_on != "train" or not hasattr(self._models[0], "state_dict"):  # or stand-ins
            return
        predicted = self.predict(validation).argmax(-1)
        for seed, row in zip(test.seeds, predicted, strict=True):
            recorded = run.refit_result(test.config_id, seed)
            accuracy = float((row == validation.labels).mean())
            if recorded is None or abs(accuracy - recorded.val_accuracy) > SAME + 1 / len(validation):
                raise UserError(
                    f"{test.config_id}, seed {seed}: has {100 * accuracy:.2f} % on validation here, which is not what "
                    "it had when it was trained; was the code changed since? Nothing was opened"
                )


SAME = 0.005
"""How far an accuracy may lie from the recorded one: other devices and precisions round otherwise."""
