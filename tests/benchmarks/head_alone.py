"""The head alone on features that are computed once, against the same head on the images of each epoch.

`make bench`, or `python tests/benchmarks/head_alone.py [backbone] [side] [epochs]`.  1,800 drawn faces, random weights
(what they are does not matter to the time), the device at hand, one run each way.  Passes are images through the frozen
backbone.  Bound: at ten epochs a third of the seconds, for ten passes become one, or as many as there are views, and
what is left beside them must not eat that up.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from fer_tune.config import TrialConfig
from fer_tune.data.batching.batches import Batches
from fer_tune.data.batching.drawn import Drawn
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.synthetic.synthesize import synthesize
from fer_tune.models import stage_count
from fer_tune.training import fixed_features
from fer_tune.training.loop import train

BOUND = 1 / 3
VIEWS: tuple[dict[str, Any], ...] = (
    {"augmentation": 0.0},
    {"augmentation": 0.4, "augmented_views": 2},
)


def run(config: TrialConfig, data: PreparedDataset, *, once: bool) -> tuple[int, float, float]:
    """Return the images that were made for the backbone, the seconds of all epochs, and the accuracy reached."""
    fixed_features.forget()
    passes = 0
    whole = Batches.made

    def made(self: Batches, drawn: Drawn) -> Any:
        nonlocal passes
        passes += len(drawn.chosen)
        return whole(self, drawn)

    why = fixed_features._reason_against if once else lambda *_: "compared with"
    with (
        mock.patch.object(Batches, "made", made),
        mock.patch.object(fixed_features, "_reason_against", why),
        tempfile.TemporaryDirectory() as folder,
    ):
        began = time.perf_counter()
        outcome = train(config, data, Path(folder))
    return passes, time.perf_counter() - began, outcome.val_accuracy


def main() -> int:
    backbone, side, epochs = (*sys.argv[1:], *("resnet18", "48", "10")[len(sys.argv) - 1 :])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder) / "faces", size=1800, seed=0)
        data = PreparedDataset.open(Path(folder) / "faces")
        print(f"{backbone}, {side} px, {epochs} epochs, {device}, {torch.get_num_threads()} threads")
        print(f"{'augmentation':34}{'passes':>8}{'each epoch':>12}{'s':>8}{'each epoch':>12}{'ratio':>7}  accuracy")
        for settings in VIEWS:
            config = TrialConfig(
                backbone=backbone,
                epochs=int(epochs),
                image_size=int(side),
                freeze_depth=stage_count(backbone),
                learning_rate=1e-2,
                precision="fp32",
                **settings,
            )
            passes, seconds, reached = run(config, data, once=True)
            plain, plainly, expected = run(config, data, once=False)
            ratio = seconds / plainly
            missed += ratio > BOUND and int(epochs) >= 10
            print(
                f"{settings!s:34}{passes:8}{plain:12}{seconds:8.1f}{plainly:12.1f}{ratio:7.2f}"
                f"  {reached:.1%} and {expected:.1%}"
            )
    print(f"bound: {BOUND:.2f} of the seconds, {'missed' if missed else 'held'}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
