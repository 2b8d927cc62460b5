"""Validation accuracy against freeze depth and layer decay, fine-tuned from given weights; time is `freeze.py`'s.

    python tests/benchmarks/freeze_accuracy.py DATA WEIGHTS RESULTS.jsonl [BACKBONE]

DATA is a prepared dataset, WEIGHTS what `--weights` takes.  On a CPU it trains on so many images of the training split
as take an hour or two on two cores; on a GPU more of them.  RESULTS gets a line for each training, and those that are
in it already are not trained again, so a run that was cut goes on; SEEDS=1 in the environment trains seed 1 alone, so
that several processes can share the work.  The table compares the best epochs of all seeds with those at depth 0, on
the same images: 95 % intervals over images and seeds.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from over_images import told
from part_of import part_of

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.models import backbone_stages
from fer_tune.training.evaluation import load_model, predict
from fer_tune.training.loop import train

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SIDE, BATCH = 96, 64
TRAIN, VALIDATION, EPOCHS = (2500, 1500, 5) if DEVICE.type == "cpu" else (12_000, 10**9, 6)
SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "1,2,3").split(",")]
DECAYS = (0.75, 0.5)
RATE, HEAD_RATE = 1e-3, 1e-2  # a head alone has random weights, and takes larger steps


def wanted(backbone: str, weights: str) -> list[TrialConfig]:
    """Return what is trained: each depth, and at depth 0 each layer decay, the seeds side by side."""
    stages = len(backbone_stages(backbone))
    plain: dict[str, Any] = {"augmentation": 0.4, "weight_decay": 0.02, "schedule": "one_cycle", "optimizer": "adamw"}
    plain |= {"image_size": SIDE, "batch_size": BATCH, "epochs": EPOCHS, "backbone": backbone, "weights": weights}
    rows = [(depth, 1.0, HEAD_RATE if depth == stages else RATE) for depth in range(stages + 1)]
    rows += [(0, decay, RATE) for decay in DECAYS]
    return [
        TrialConfig(**plain, freeze_depth=depth, layer_decay=decay, learning_rate=rate, seed=seed)
        for seed in SEEDS
        for depth, decay, rate in rows
    ]


def trained(config: TrialConfig, data: PreparedDataset) -> dict[str, Any]:
    """Train, and return what the weights of the best epoch say of each validation image, a digit each."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(config, data, Path(folder), device=DEVICE)
        model = load_model(config, data.card, Path(folder) / "best.safetensors", DEVICE)
        found = predict(model, data.val(), data.card, DEVICE, image_size=config.image_size)
    return {
        **{name: getattr(config, name) for name in ("freeze_depth", "layer_decay", "seed")},
        "predicted": "".join(map(str, found.argmax(1))),
        "best_epoch": outcome.best_epoch,
        "peak_memory_mib": max(epoch["peak_memory_mib"] for epoch in outcome.history),
        "seconds": float(np.median([epoch["steps_seconds"] + epoch["data_seconds"] for epoch in outcome.history])),
    }


def table(rows: list[dict[str, Any]], labels: np.ndarray) -> None:
    """Print accuracies and their differences to depth 0, in points, with 95 % intervals over images and seeds."""
    right: dict[tuple[int, float], dict[int, np.ndarray]] = {}
    for row in rows:
        key = (row["freeze_depth"], row["layer_decay"])
        right.setdefault(key, {})[row["seed"]] = np.array(list(map(int, row["predicted"]))) == labels
    first = right.get((0, 1.0), {})
    print(f"{'depth':>5} {'decay':>5} {'seeds':>5}  {'validation, %':24} to depth 0, points")
    for (depth, decay), seeds in sorted(right.items(), key=lambda item: (-item[0][1], item[0][0])):
        shared = [seed for seed in sorted(seeds) if seed in first]
        own = np.stack([seeds[seed] for seed in sorted(seeds)])
        change = ""
        if shared and (depth, decay) != (0, 1.0):
            change = told(np.stack([seeds[seed].astype(float) - first[seed].astype(float) for seed in shared]))
        print(f"{depth:5} {decay:5.2f} {len(seeds):5}  {told(own):24} {change}")


def main() -> None:
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    path, weights, results = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    backbone = sys.argv[4] if len(sys.argv) > 4 else "tf_efficientnet_lite0"
    with tempfile.TemporaryDirectory() as folder:
        data = part_of(PreparedDataset.open(path), Path(folder) / "part", TRAIN, VALIDATION)
        done = [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
        for config in wanted(backbone, weights):
            known = (config.freeze_depth, config.layer_decay, config.seed)
            if known not in {(row["freeze_depth"], row["layer_decay"], row["seed"]) for row in done}:
                done.append(trained(config, data))
                with results.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
        print(f"{backbone}, {SIDE} px, {len(data.train())} training images, {EPOCHS} epochs, {DEVICE.type}")
        table(done, data.val().labels)


if __name__ == "__main__":
    main()
