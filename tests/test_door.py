"""The door for Python, and that the command line is made from it."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
import typer.main
from annotated_types import Ge, Le
from typing_extensions import Doc

import fer_tune
from analysis.actions.evaluate import evaluate
from analysis.actions.export import export
from analysis.actions.predict import predict
from analysis.actions.published import run_published
from analysis.actions.refit import refit
from analysis.actions.report import report
from fer_tune import api
from fer_tune.cli.main import app
from fer_tune.door import door, option, signature
from fer_tune.errors import UserError
from fer_tune.search.options import SearchOptions

SHELL_ONLY = {"help", "quiet", "as_json", "dry_run", "out"}

DOORS = {
    "search": api.search,
    "resume": api.resume,
    "data prepare": api.prepare,
    "data synthesize": api.synthesize,
    "refit": refit,
    "test": evaluate,
    "report": report,
    "predict": predict,
    "export": export,
    "published run": run_published,
}


@door
def asked(
    run: object = None,
    *,
    number: Annotated[int, Doc("a number"), Ge(1), Le(9)] = 1,
    share: Annotated[float | None, Ge(0)] = None,
    kind: Literal["a", "bee"] = "a",
    kinds: Literal["a", "bee"] | Sequence[Literal["a", "bee"]] = "a",
    where: str | Path | None = None,
    labels: Mapping[str, str] | Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return what was given."""
    return dict(locals())


def test_importing_brings_nothing_heavy_along():
    code = (
        "import sys, fer_tune; dir(fer_tune); heavy = {'ray', 'torch', 'pandas', 'pyarrow', 'optuna', 'wandb', "
        "'matplotlib', 'typer'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_package_of_the_search_is_a_door_and_keeps_its_rooms():
    import fer_tune.search.options as room

    assert fer_tune.search.options is room
    assert inspect.signature(fer_tune.search) == inspect.signature(api.search)
    with pytest.raises(TypeError, match="backbone"):
        fer_tune.search("data")


def test_what_the_face_names_is_there():
    for name in fer_tune.__all__:
        assert getattr(fer_tune, name) is not None
    assert not hasattr(fer_tune, "nonsense")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"number": 0}, "--number 0: should be greater than or equal to 1"),
        ({"number": 10}, "--number 10: should be less than or equal to 9"),
        ({"number": "many"}, "--number many: should be a valid integer"),
        ({"share": -0.5}, "--share -0.5: should be greater than or equal to 0"),
        ({"share": float("nan")}, "--share nan: should be a finite number"),
        ({"kind": "bea"}, "--kind bea: one of a, bee; did you mean 'bee'?"),
        ({"kinds": ["a", "x"]}, "--kinds x: one of a, bee"),
        ({"where": 3}, "--where 3: is not a valid path"),
        ({"where": ""}, "--where: is empty; leave it out, or is a variable of the shell not set?"),
        ({"kinds": ["a", " "]}, "--kinds: is empty"),
    ],
)
def test_what_does_not_fit_is_named_with_its_bound(given, told):
    with pytest.raises(UserError) as error:
        asked(**given)
    assert str(error.value).startswith(told)


def test_what_fits_comes_through():
    run = object()
    given = {"number": 9, "share": 0.5, "kind": "bee", "kinds": ["bee"], "where": Path("x"), "labels": {"a": "b"}}
    assert asked(run, **given) == {"run": run, **given}
    assert asked(labels=["a=b"])["labels"] == ["a=b"]


def test_the_defaults_of_the_door_are_those_of_the_search():
    fields = {field.name: field for field in dataclasses.fields(SearchOptions)}
    own = {"backbone", "data", "time_budget", "node_label", "space", "weights", "objective", "storage", "output"}
    own |= {"fix", "range", "choice", "checkpoint_every", "warm_start", "sampler"}
    asked = api.search_options(data="d", backbone="resnet18")
    assert asked.checkpoint_every == fields["checkpoint_every"].default
    for name, parameter in signature(api.search).parameters.items():
        if name not in own:
            assert parameter.default == fields[name].default, name
    options = api.search_options(data="d", backbone="resnet18")
    assert options == SearchOptions(data="d", backbones=["resnet18"])


@pytest.mark.parametrize("name", DOORS)
def test_a_command_has_the_options_of_its_door_in_its_words(name):
    command: click.Command = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]  # type: ignore[attr-defined]
    shown = {
        each.name: each
        for each in command.params
        if each.name not in SHELL_ONLY or name.startswith(("data", "published"))
    }
    shown.pop("help", None)
    parameters = {key: each for key, each in signature(DOORS[name]).parameters.items() if key != "output"}
    if name in ("export", "predict"):
        shown["out"] = next(each for each in command.params if each.name == "out")
    assert set(shown) == set(parameters)
    for key, parameter in parameters.items():
        if key != "run":
            said = [each for each in getattr(parameter.annotation, "__metadata__", ()) if isinstance(each, Doc)]
            assert said, f"{name} {key} says nothing"
            assert shown[key].help.startswith(said[0].documentation)
            assert shown[key].param_type_name == "argument" or option(key) in shown[key].opts


def test_a_search_in_another_thread_says_where_it_must_be_called(tmp_path):
    import threading

    from fer_tune.search.running.ending import interruptible

    seen: list[str] = []

    def run() -> None:
        try:
            with interruptible(None):
                pass
        except UserError as error:
            seen.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in seen[0]
