"""Where earlier runs of this project keep their best weights, so that another can start from them.

The layout is that of :mod:`fer_tune.run_folder`, which lies above the models and cannot be imported here.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from fer_tune.errors import UserError

_BEST = "best.safetensors"


def find_weights(source: Path, backbone: str | None = None) -> Path:
    """Return the weights file that ``source`` stands for.

    Args:
        source: a file is taken as it is. A folder with ``best.safetensors`` (a checkpoint, a refit, a published run)
            stands for that file. A run folder stands for its best refit by validation accuracy, or, before any
            refit, its best trial.
        backbone: prefer the trials of this backbone where the run has some.

    Raises:
        UserError: nothing there, or a folder without weights.
    """
    source = source.expanduser()
    if source.name == "state.pt" and (source.parent / _BEST).is_file():  # the state of a checkpoint: no weights in it
        source = source.parent
    if not source.is_dir():
        return source
    if (source / _BEST).is_file():
        return source / _BEST
    if not (source / "search.yaml").is_file():
        raise UserError(f"{source}: no weights here: neither {_BEST} nor a run folder (search.yaml)")
    found = _refits(source) or _trials(source)
    if not found:
        raise UserError(f"{source}: a run folder without a single checkpoint; let it train an epoch first")
    own = [each for each in found if each[0] == backbone]
    return max(own or found, key=lambda each: each[1])[2]


def _refits(run: Path) -> list[tuple[str, float, Path]]:
    """Return (backbone, best validation accuracy, weights) of each refit that is done."""
    found = []
    for file in sorted(run.glob("refit/*/seed_*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        accuracy = result.get("best_val_accuracy")
        weights = file.with_name(_BEST)
        if isinstance(accuracy, float) and math.isfinite(accuracy) and weights.is_file():
            backbone = str(result.get("config_id", "")).rpartition("-")[0]  # e.g. cnn_residual-0a1b2c3d
            found.append((backbone, accuracy, weights))
    return found


def _trials(run: Path) -> list[tuple[str, float, Path]]:
    """The same of each trial that left a checkpoint."""
    import pyarrow.parquet as pq

    file = run / "trials.parquet"
    if not file.is_file():
        return []
    found = []
    for row in pq.read_table(file, columns=["trial_id", "backbone", "best_val_accuracy"]).to_pylist():
        weights = sorted((run / "tune" / row["trial_id"]).rglob(_BEST))  # checkpoint_000007/: the last knows the best
        accuracy = row["best_val_accuracy"]
        if weights and accuracy is not None and math.isfinite(accuracy):
            found.append((row["backbone"], accuracy, weights[-1]))
    return found
