"""What refitted models predict for the validation images: computed once, kept beside each model's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.refits.predictor import Predictor
from analysis.run.predictions import read_predictions, write_predictions
from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import Split
from fer_tune.errors import UserError
from fer_tune.run_folder import RefitResult

_SAME = 0.005
"""How far a validation accuracy may lie from the recorded one: other devices and precisions round otherwise."""


def validation_file(folder: Path, views: str = "none") -> Path:
    """Return the file with the predictions of one kind of views, in the folder of a refitted model.

    >>> validation_file(Path("seed_1001"), "flip").name
    'validation_flip.parquet'
    """
    return folder / ("validation.parquet" if views == "none" else f"validation_{views}.parquet")


class Validation:
    """The validation images, and what models predict for them.

    Args:
        split: the validation images.
        predictor: loads the models.
    """

    def __init__(self, split: Split, predictor: Predictor) -> None:
        self.split, self._predictor = split, predictor

    def checked(self, model: Any, settings: TrialConfig, file: Path, result: RefitResult) -> NDArray[Any]:
        """Return the (N, C) probabilities of a model that was trained on train alone; see that it does as it did; keep.

        Another version of the code may build another network that takes the same weights: that must not go unseen.

        Raises:
            UserError: its validation accuracy is another one.
        """
        predicted = self._predictor.predict(model, settings, self.split)
        accuracy = float((predicted.argmax(1) == self.split.labels).mean())
        real = hasattr(model, "state_dict")  # and not a stand-in
        if real and abs(accuracy - result.val_accuracy) > _SAME + 1 / len(self.split):
            raise UserError(
                f"{file}: has {100 * accuracy:.2f} % on validation here, but had {100 * result.val_accuracy:.2f} % "
                "when it was trained; was the code changed since? Nothing was opened. Test it with that version, or "
                f"remove {file.parent} and refit"
            )
        self._keep(file.parent, "none", predicted, result.seed)
        return predicted

    def predictions(
        self, settings: TrialConfig, file: Path, result: RefitResult, views: tuple[str, ...]
    ) -> dict[str, NDArray[np.float32]]:
        """Return (N, C) probabilities by views, from what is kept, else from the model, which is checked then.

        Raises:
            UserError: the weights are gone, or see `checked`.
        """
        kept = [validation_file(file.parent, kind) for kind in views]
        if not all(each.is_file() for each in kept):
            if not file.is_file():
                raise UserError(f"{file}: missing; remove {file.parent} and train it again with `fer-tune refit`")
            model = self._predictor.load(settings, file)
            if not validation_file(file.parent).is_file():
                self.checked(model, settings, file, result)
            for kind, target in zip(views, kept, strict=True):
                if not target.is_file():
                    found = self._predictor.predict(model, settings, self.split, kind)
                    self._keep(file.parent, kind, found, result.seed)
        return {kind: read_predictions(each).probabilities[0] for kind, each in zip(views, kept, strict=True)}

    def _keep(self, folder: Path, views: str, probabilities: NDArray[Any], seed: int) -> None:
        target = validation_file(folder, views)
        write_predictions(target, self.split, probabilities[None], self._predictor.card.classes, [seed])
