"""One model with the averaged weights of several that were trained from the same start: a greedy soup.

Wortsman et al., Model soups, ICML 2022.  Models that began at the same trained weights often end in one basin, where
the mean of their weights does what their ensemble does, for the price of one.  Those that began at random do not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.combining.judging import Judge
from analysis.combining.validation import validation_file
from analysis.refits.predictor import Predictor
from analysis.run.predictions import read_predictions, write_predictions
from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import Split
from fer_tune.filing.files import replacing
from fer_tune.filing.layout import BEST

_BATCH = 256  # images of a batch that batch norm's statistics are taken of: as evaluation's


class Soup:
    """The greedy soup of a configuration's seeds: the best one, and each next one that does not make it worse.

    Its choices are made on the validation images, at most one for each seed after the first.

    Args:
        folder: where it is kept, see `averaged_folder`.
        settings: of each seed.
        files: the weights of each seed.
        seeds: their numbers.
    """

    def __init__(self, folder: Path, settings: list[TrialConfig], files: list[Path], seeds: list[int]) -> None:
        self.folder, self._settings, self._files, self._seeds = folder, settings, files, seeds

    def predictions(
        self,
        predictor: Predictor,
        train: Split,
        validation: Split,
        judge: Judge,
        values: list[float],
        views: tuple[str, ...],
    ) -> tuple[list[int], dict[str, NDArray[np.float32]]]:
        """Return the seeds in it, and (N, C) probabilities of the validation images by views; made once.

        Args:
            predictor: loads and predicts.
            train: the training images, of which batch norm takes its statistics anew.
            validation: N images to choose by.
            judge: of those.
            values: what each seed reaches, more is better.
            views: kinds of views.
        """
        about, kept = self.folder / "seeds.json", [validation_file(self.folder, kind) for kind in views]
        known = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
        if known.get("of") != self._seeds or not all(each.is_file() for each in kept):
            taken = self._make(predictor, train, validation, judge, values)
            model = predictor.load(self._settings[0], self.folder / BEST)
            for kind, target in zip(views, kept, strict=True):
                found = predictor.predict(model, self._settings[0], validation, kind)
                write_predictions(target, validation, found[None], predictor.card.classes, [taken[0]])
            known = {"of": self._seeds, "taken": taken}
            with replacing(about) as temporary:
                temporary.write_text(json.dumps(known), encoding="utf-8")
        found_by = {kind: read_predictions(each).probabilities[0] for kind, each in zip(views, kept, strict=True)}
        return list(known["taken"]), found_by

    def _make(
        self, predictor: Predictor, train: Split, validation: Split, judge: Judge, values: list[float]
    ) -> list[int]:
        """Write the weights of the soup; return the seeds in it."""
        from safetensors.torch import save_file

        from fer_tune.models.weights.tensors import read_tensors

        order = sorted(range(len(values)), key=lambda place: -values[place])
        taken, best = [order[0]], values[order[0]]
        model = predictor.load(self._settings[0], self._files[order[0]])
        state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        for place in order[1:]:
            states = [read_tensors(self._files[each])[0] for each in (*taken, place)]
            model.load_state_dict(averaged(states))
            _retake_statistics(model, predictor, train, self._settings[0])
            predicted = predictor.predict(model, self._settings[0], validation)
            value = float(judge.values(predicted[None])[0])
            if value >= best:
                taken, best = [*taken, place], value
                state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        with replacing(self.folder / BEST) as temporary:
            save_file({name: tensor.contiguous().cpu() for name, tensor in state.items()}, temporary)
        return [self._seeds[place] for place in taken]


def averaged(states: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of the numbers of several state dictionaries; what is whole (counters) is the first's.

    >>> import torch
    >>> averaged([{"a": torch.tensor([1.0]), "n": torch.tensor(3)}, {"a": torch.tensor([2.0]), "n": torch.tensor(5)}])
    {'a': tensor([1.5000]), 'n': tensor(3)}
    """
    import torch

    first = states[0]
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if tensor.is_floating_point() else tensor
        for name, tensor in first.items()
    }


def _retake_statistics(model: Any, predictor: Predictor, train: Split, settings: TrialConfig) -> None:
    """Take batch norm's statistics anew, as averaged weights have others; nothing where there is no batch norm."""
    import torch
    from torch.optim.swa_utils import update_bn

    from fer_tune.data.batching.batches import Batches

    if any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        device = torch.device(predictor.device)
        update_bn(Batches(train, predictor.card, device, settings.image_size).evaluation(_BATCH), model)
    model.eval()
