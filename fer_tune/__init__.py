"""Hyperparameter search for facial-emotion recognition (FER), distributed by Ray.

The door for Python; each name is imported when it is used::

    import fer_tune

    fer_tune.prepare("~/Downloads/fer2013", "data/fer2013")
    run = fer_tune.search(data="data/fer2013", backbone="resnet18", trials=100)
    run.refit(top=3, seeds=5)
    run.test()
    run.report()

The packages, and the one direction in which they may import each other::

    fer_tune.cli -> fer_tune.api -> analysis -> fer_tune.search -> fer_tune.training
                 -> fer_tune.models, fer_tune.data -> fer_tune.config

``training``, ``models`` and ``data`` know nothing of Ray: the training loop can be called from a
notebook.  Only ``training.ray_worker`` wraps it for Ray Train.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fer_tune.errors import UserError
from fer_tune.filing.home import ensure_home
from fer_tune.version import __version__

ensure_home()  # before anything imports Ray or torch

if TYPE_CHECKING:
    from analysis.across import compare
    from analysis.actions.published import run_published
    from analysis.folds.run import FoldsRun, load_folds
    from analysis.result import Run, load_run
    from fer_tune.api import prepare, resume, search, synthesize
    from fer_tune.door import GaveUpError, Interrupted

__all__ = [
    "FoldsRun",
    "GaveUpError",
    "Interrupted",
    "Run",
    "UserError",
    "__version__",
    "compare",
    "load_folds",
    "load_run",
    "prepare",
    "resume",
    "run_published",
    "search",
    "synthesize",
]

_DOORS = {
    "search": "fer_tune.search",  # the package, which is callable: see `fer_tune.door.CallablePackage`
    "GaveUpError": "fer_tune.door",
    "Interrupted": "fer_tune.door",
    "Run": "analysis.result",
    "load_run": "analysis.result",
    "FoldsRun": "analysis.folds.run",
    "load_folds": "analysis.folds.run",
    "compare": "analysis.across",
    "run_published": "analysis.actions.published",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_DOORS.get(name, "fer_tune.api"))  # Ray, torch and pandas come with what needs them
    return module if name == "search" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
