"""What a search of the same backbone finds in the epochs of a published experiment, and in ten times as many.

    python tests/benchmarks/searched.py DATA PUBLISHED.jsonl RESULTS.jsonl NAME ...

PUBLISHED.jsonl is what `reproduced.py` wrote of DATA, NAME an experiment of it.  Its budget is the mean of the epochs
that its seeds took; for each seed the space of its backbone is searched for as many epochs in all, and for ten times as
many (TIMES=1 in the environment for the first alone, SEEDS=1 for one seed of them), without published or known good
settings: what is found is found here.  A trial has a third of its search's epochs at most, and no more than the
published run.  The trial that is the best on validation predicts the test split with the weights that it has left: one
training, as the published one is, nothing is refitted.

One trial after the other on one thread; what is in RESULTS is not searched again.  95 % intervals are over images and
seeds, differences taken image by image and seed by seed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from live import Epochs, counted_search
from over_images import told
from reproduced import DEVICE, SEEDS, accuracy

from analysis import load_run
from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset, Split
from fer_tune.filing.layout import BEST
from fer_tune.search.cluster.ray_start import start_ray
from fer_tune.search.options import SearchOptions
from fer_tune.search.spaces.published import find_published
from fer_tune.training.evaluation import load_model, predict

TIMES = [int(times) for times in os.environ.get("TIMES", "1,10").split(",")]


def searched(name: str, seed: int, times: int, published: int, place: Path, folder: Path) -> dict[str, Any]:
    """Search for ``times`` the ``published`` epochs; return what the best trial says of each image, a digit each."""
    backbone, budget = find_published(name)[0].backbone, times * published
    shutil.rmtree(folder, ignore_errors=True)  # of a search that was cut
    epochs = Epochs(budget)
    options = SearchOptions(
        data=place,
        backbones=[backbone],
        trials=10_000,
        epochs=min(budget // 3, published),
        name=folder.name,
        storage=folder.parent,
        seed=seed,
        published=False,
        known_good=False,
        wandb="disabled",
        concurrent=1,
        cpus_per_trial=1,
    )
    counted_search(options, epochs)
    run, data = load_run(folder), PreparedDataset.open(place)
    best = run.ranked[0]
    config = TrialConfig.model_validate(best["config"])
    model = load_model(config, data.card, folder / "tune" / best["trial_id"] / BEST, DEVICE)

    def said(split: Split) -> str:
        found = predict(model, split, data.card, DEVICE, image_size=config.image_size)
        return "".join(map(str, found.argmax(1)))

    row = {"name": name, "times": times, "seed": seed, "epochs": len(epochs.best), "trials": len(run.rows)}
    return row | {"config": best["config"], "val": said(data.val()), "test": said(data.open_test())}


def main() -> None:
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    place, results = Path(sys.argv[1]), Path(sys.argv[3]).resolve()
    data = PreparedDataset.open(place)
    as_published = [json.loads(line) for line in Path(sys.argv[2]).read_text().splitlines()]
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ |= {"RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0", "FER_TUNE_OUTPUT": "quiet"}
    start_ray(num_cpus=1)
    for name in sys.argv[4:]:
        published = round(float(np.mean([row["epochs"] for row in as_published if row["name"] == name])))
        for times in TIMES:
            for seed in SEEDS:
                if any((row["name"], row["times"], row["seed"]) == (name, times, seed) for row in done):
                    continue
                folder = results.parent / f"{name.replace('/', '-')}-searched-{times}-{seed}"
                done.append(searched(name, seed, times, published, place, folder))
                with results.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
                print(f"{name}, {times} times, seed {seed}: {done[-1]['trials']} trials", flush=True)
    print(f"\n{'experiment':36} {'':10} seeds {'epochs in all':>14}  {'validation, %':24} {'test, %':24} to published")
    labels = {"val": data.val().labels, "test": data.open_test().labels}
    for name in sys.argv[4:]:
        rows = {0: [row for row in as_published if row["name"] == name]}
        rows |= {times: [row for row in done if (row["name"], row["times"]) == (name, times)] for times in TIMES}
        for times, found in rows.items():
            way = f"searched{f' x{times}' if times > 1 else ''}" if times else "published"
            epochs = "/".join(str(row["epochs"]) for row in found)
            told_of = "".join(f"{accuracy(found, split, labels[split]):24} " for split in labels)
            gain = _gain(found, rows[0], labels["test"]) if times else ""
            print(f"{name:36} {way:12} {len(found):3} {epochs:>14}  {told_of}{gain}")


def _gain(found: list[dict[str, Any]], published: list[dict[str, Any]], labels: np.ndarray) -> str:
    """Return by how many points of the test split the one is better than the other, with its interval."""
    by_seed = {row["seed"]: row for row in published}
    pairs = [(row, by_seed[row["seed"]]) for row in found if row["seed"] in by_seed]
    right = [[np.array(list(map(int, row["test"]))) == labels for row in pair] for pair in pairs]
    return told(np.stack([ours.astype(float) - theirs for ours, theirs in right]))


if __name__ == "__main__":
    main()
