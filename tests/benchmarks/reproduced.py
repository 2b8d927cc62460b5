"""Published experiments of FER2013 trained to their end, as their papers say: what they give beside what they report.

    python tests/benchmarks/reproduced.py DATA RESULTS.jsonl [NAME ...]

DATA is FER2013 as prepared, NAME an experiment of `fer-tune published list` (all of FER2013 that start from random
weights by default; others need their weights).  Each is trained at its own epochs and early stopping with three seeds
(SEEDS=1 in the environment trains one of them alone, so that processes can share the work), in folders beside RESULTS:
what was cut goes on, and what is in RESULTS is not trained again.  It needs no Ray.

The best epoch on validation counts, and its weights predict the test split once; 95 % intervals are over images and
seeds.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from over_images import told

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset, Split
from fer_tune.search.spaces.published import as_published, find_published, reported_accuracy, shipped_published
from fer_tune.training.evaluation import load_model, predict
from fer_tune.training.loop import train

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "1,2,3").split(",")]


def from_scratch() -> list[str]:
    """Return the experiments of FER2013 that need no weights."""
    return [
        entry.name
        for space, entry in shipped_published()
        if entry.dataset == "fer2013" and not as_published(space, entry).pretrained
    ]


def trained(name: str, config: TrialConfig, data: PreparedDataset, folder: Path) -> dict[str, Any]:
    """Train to the end, and return what the best epoch's weights say of each image of both splits, a digit each."""
    outcome = train(config, data, folder, device=DEVICE)
    model = load_model(config, data.card, folder / "best.safetensors", DEVICE)

    def said(split: Split) -> str:
        found = predict(model, split, data.card, DEVICE, image_size=config.image_size)
        return "".join(map(str, found.argmax(1)))

    return {
        "name": name,
        "seed": config.seed,
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "ended": outcome.reason,
        "minutes": outcome.seconds / 60,
        "val": said(data.val()),
        "test": said(data.open_test()),
    }


def accuracy(rows: list[dict[str, Any]], split: str, labels: np.ndarray) -> str:
    """Return the mean accuracy over seeds, with its interval."""
    return told(np.stack([np.array(list(map(int, row[split]))) == labels for row in rows]))


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    data, results = PreparedDataset.open(sys.argv[1]), Path(sys.argv[2])
    names = sys.argv[3:] or from_scratch()
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
    for name in names:
        for seed in SEEDS:
            if any((row["name"], row["seed"]) == (name, seed) for row in done):
                continue
            config = as_published(*find_published(name), seed=seed)
            row = trained(name, config, data, results.parent / f"{name.replace('/', '-')}-{seed}")
            done.append(row)
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{name}, seed {seed}: {row['epochs']} epochs, {row['minutes']:.1f} min, {row['ended']}", flush=True)
    print(f"\n{'experiment':36} {'reported':>14} seeds  epochs  {'validation, %':24} test, %")
    for name in dict.fromkeys(row["name"] for row in done):
        rows = [row for row in done if row["name"] == name]
        reported = reported_accuracy(find_published(name)[1]) or "none"
        epochs = "/".join(str(row["epochs"]) for row in rows)
        val, test = accuracy(rows, "val", data.val().labels), accuracy(rows, "test", data.open_test().labels)
        print(f"{name:36} {reported:>14} {len(rows):5}  {epochs:7} {val:24} {test}")


if __name__ == "__main__":
    main()
