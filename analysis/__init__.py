"""From what a run leaves on disk to what is known: refit, test, statistics, figures, report.

The door for notebooks is :func:`load_run`, which needs neither Ray nor Weights & Biases::

    from analysis import compare, load_run

    run = load_run("runs/resnet18-fer2013")              # or "s3://bucket/runs/resnet18-fer2013"
    run.trials.sort_values("val_accuracy").tail()   # pandas frames: trials, epochs
    run.best_config                                      # settings of the best trial by validation
    run.published, run.refits, run.tests, run.comparison
    run.plot_history().savefig("history.png")            # and plot_curves, plot_importance, plot_pareto, ...
    run.predictions(run.tests[0].config_id)              # probabilities of every seed on the held-out images

    compare(["runs/resnet18-fer2013", "runs/vgg16-fer2013"]).table
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.across import compare
    from analysis.result import Run, load_run

__all__ = ["Run", "compare", "load_run"]


def __getattr__(name: str) -> Any:
    # Reading takes pyarrow, and comparing draws: seconds that who wants another part of this should not wait for.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("analysis.across" if name == "compare" else "analysis.result"), name)
