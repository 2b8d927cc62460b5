"""The names of a run folder agree with its paths."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import get_args

from fer_tune.filing import layout
from fer_tune.run_folder import RunFolder, TrainedOn


def test_the_examples_of_the_documentation_run() -> None:
    assert doctest.testmod(layout) == (0, 3)


def test_paths_are_the_names_below_the_run() -> None:
    run = RunFolder(Path("runs/a"))
    results = [run.refit_seed("net-1", 10, on) / layout.RESULT for on in get_args(TrainedOn)]
    names = [result.relative_to(run.path).as_posix() for result in results]
    assert [layout.is_result_on_train(name) for name in names] == [True, False]
    assert not layout.is_result_on_train(f"other/{names[0]}")
    assert run.tune / "t1" == run.path / layout.trial_folder("t1")
