"""Load what was refitted and predict with it, as it was trained: its image size, its precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.store import Split
from fer_tune.errors import DamagedWeightsError, UserError
from fer_tune.filing.layout import AVERAGED

Load = Callable[..., Any]
"""`fer_tune.training.evaluation.load_model`, or a stand-in with its signature."""
Predict = Callable[..., NDArray[Any]]
"""`fer_tune.training.evaluation.predict`, or a stand-in with its signature."""


class Predictor:
    """Loads models and predicts on one device.

    Args:
        card: of the dataset whose images they take.
        device: a torch device; a GPU if there is one.
        load: stand-in for `fer_tune.training.evaluation.load_model`.
        predict: stand-in for `fer_tune.training.evaluation.predict`.
    """

    def __init__(
        self, card: DatasetCard, device: str | None = None, load: Load | None = None, predict: Predict | None = None
    ) -> None:
        if load is None or predict is None:
            from fer_tune.training import evaluation

            load, predict = load or evaluation.load_model, predict or evaluation.predict
        if device is None:
            import torch

            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.card, self.device = card, device
        self._load, self._predict = load, predict

    def load(self, settings: TrialConfig, file: Path) -> Any:
        """Return the model in ``file``, ready to predict.

        Raises:
            UserError: the file is damaged, with what makes it anew.
        """
        try:
            return self._load(settings, self.card, file, self.device)
        except DamagedWeightsError as error:
            again = "`fer-tune test --again`" if file.parent.name == AVERAGED else "`fer-tune refit`"
            raise UserError(
                f"{error}; take the file from a backup, or remove {file.parent}, and {again} makes it anew"
            ) from None

    def predict(self, model: Any, settings: TrialConfig, split: Split, views: str = "none") -> NDArray[Any]:
        """Return (N, C) probabilities of the images of ``split``, averaged over the views of each."""
        options: dict[str, Any] = {} if views == "none" else {"views": views}
        if settings.image_size:
            options["image_size"] = settings.image_size
        if settings.precision != "auto":
            options["precision"] = settings.precision
        return self._predict(model, split, self.card, self.device, **options)
