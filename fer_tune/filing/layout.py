"""Where things are in a run folder, by name: for whoever writes, reads or only passes through one.

::

    runs/<name>/
      search.yaml            resolved settings of the search (`SearchSettings`)
      study.journal          Optuna journal, one study per backbone, named as the backbone
      tune/                  Ray Tune's state, and a folder per trial: best.safetensors, and while it runs state/
      trials.parquet         a row per trial            (`TRIAL_COLUMNS`, then the `config.*` columns)
      epochs.parquet         a row per trial and epoch  (`EPOCH_COLUMNS`)
      clock.json             how many seconds the search has run, over all its resumes
      wandb/                 offline Weights & Biases runs
      sweep.json             the sweep that the search is on Weights & Biases, once a server has made it
      refit/refit.json       which configurations were refitted, with which seeds (`RefitPlan`)
      refit/<config>/seed_<s>/   result.json, epochs.parquet, best.safetensors
      refit/<config>/seed_<s>/validation.parquet, validation_<views>.parquet   what it predicts for validation images
      refit/<config>/averaged/     the model with the averaged weights of the seeds, where that was tried:
                             best.safetensors, seeds.json, validation.parquet
      refit/final.json       which of them were trained once more on train and val together (`FinalPlan`)
      refit/<config>/train_val/seed_<s>/   the same three files
      dataset.json           the dataset's card, as it was when something was refitted or tested
      test/ledger.jsonl      every opening of the held-out split and what it gave: when, what, why, hashes; chained
      test/opening_<n>/<config>/   metrics.json, predictions.parquet, and predictions_<views>.parquet with several
                             views; of the winner also examples.parquet (errors, with their images) and doubtful.parquet
      test/opening_<n>/comparison.json   the winner against the other tested configurations, on the same images
      test/opening_<n>/chosen/   result.json: how validation chose to use the models together, and its test; and its
                             predictions.parquet
      report/                report.html, report.md, tables.tex, model_card.md, figures/*.png and *.pdf
      export/                what `fer-tune export` wrote: a model and preprocessing.json

`fer_tune.run_folder` gives paths and typed access; modules that lie below it, or look into a folder in a store, go by
the names.
"""

from __future__ import annotations

import re

SETTINGS = "search.yaml"
STUDY = "study.journal"
TUNE = "tune"
TRIALS = "trials.parquet"
EPOCHS = "epochs.parquet"
CLOCK = "clock.json"
REFITS = "refit"

AVERAGED = "averaged"
"""The folder of a configuration with the averaged weights of its seeds."""

RESULT = "result.json"
"""Of a refit; written last, so it marks the refit as finished."""

BEST = "best.safetensors"
"""The best weights of a refit or of a trial."""

STATE = "state.pt"
"""What goes with the last weights of a checkpoint, to go on training."""

RUNNING = "state"
"""The folder of a trial in which the checkpoints lie that it goes on from; it goes when the trial has ended."""


def seed_folder(config_id: str, seed: int, on: str = "train") -> str:
    """Return the folder of one refit below that of all.

    >>> seed_folder("resnet18-0a1b2c3d", 2), seed_folder("resnet18-0a1b2c3d", 2, "train+val")
    ('resnet18-0a1b2c3d/seed_2', 'resnet18-0a1b2c3d/train_val/seed_2')
    """
    return f"{config_id}/{'' if on == 'train' else 'train_val/'}seed_{seed}"


def is_result_on_train(name: str) -> bool:
    """Return whether a file, named from the run folder on, is the result of a refit on the training split alone.

    >>> is_result_on_train("refit/resnet18-0a1b2c3d/seed_2/result.json")
    True
    >>> is_result_on_train("refit/resnet18-0a1b2c3d/train_val/seed_2/result.json")
    False
    """
    return re.fullmatch(rf"{REFITS}/[^/]+/seed_\d+/{RESULT}", name) is not None


def trial_folder(trial_id: str) -> str:
    """Return the folder of a trial, with its `BEST` weights and, while it runs, what it needs to go on (`RUNNING`)."""
    return f"{TUNE}/{trial_id}"
