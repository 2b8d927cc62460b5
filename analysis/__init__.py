"""From what a run leaves on disk to what is known: refit, test, statistics, figures, report.

The door for notebooks is :func:`load_run`, which needs neither Ray nor Weights & Biases::

    from analysis import load_run

    run = load_run("runs/resnet18-fer2013")
    run.trials.sort_values("best_val_accuracy").tail()
    run.best_config
"""

from analysis.run import Run, load_run

__all__ = ["Run", "load_run"]
