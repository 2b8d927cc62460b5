"""The rules of the house: who may import whom, who may open the held-out split, how large a module may be."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("fer_tune", "analysis", "search_spaces", "clusters")
LINT_IMPORTS = Path(sysconfig.get_path("scripts")) / "lint-imports"

SOURCES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache", "--config", "pyproject.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_run_one_way() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def breached(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what import-linter says of a copy of the project in which every rule is broken once."""
    copy = tmp_path_factory.mktemp("breached")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    breaches = {
        "fer_tune/data/upwards.py": "import fer_tune.training",
        "fer_tune/models/distributed.py": "def later() -> None:\n    import ray.tune",
        "fer_tune/search/composing.py": "from fer_tune.cli import main",
        "fer_tune/search/spaces/upwards.py": "import fer_tune.search.proposing.grid",
        "fer_tune/data/prepared/upwards.py": "import fer_tune.data.batching.batches",
        "fer_tune/storage/first.py": "import fer_tune.storage.second",
        "fer_tune/storage/second.py": "import fer_tune.storage.first",
        "analysis/tracked.py": "import wandb",
        "analysis/statistics/upwards.py": "import analysis.report.writing",
    }
    for name, text in breaches.items():
        (copy / name).write_text(text + "\n", encoding="utf-8")
    result = lint_imports(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "breach",
    [
        "fer_tune.data is not allowed to import fer_tune.training",
        "fer_tune.models is not allowed to import ray",
        "fer_tune.search.composing -> fer_tune.cli",
        "fer_tune.search.spaces is not allowed to import fer_tune.search.proposing",
        "fer_tune.data.prepared is not allowed to import fer_tune.data.batching",
        "No cycles are allowed in fer_tune.storage",
        "analysis is not allowed to import wandb",
        "analysis.statistics is not allowed to import analysis.report",
    ],
)
def test_a_breach_is_seen(breached: str, breach: str) -> None:
    assert breach in breached


def test_only_the_held_out_evaluation_opens_the_test_split() -> None:
    openers = {
        file.relative_to(ROOT).as_posix()
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "open_test"
    }
    assert openers == {"analysis/heldout/opening.py", "analysis/heldout/further.py"}


LIBRARIES = {
    "ray": "fer_tune/ray_internals.py",
    "optuna": "fer_tune/search/proposing/optuna_internals.py",
    "wandb": "fer_tune/tracking/wandb_internals.py",
}
"""Library -> the one module that may touch what it keeps to itself."""

INNER_ROOMS = ("ray.tune.execution", "wandb.sdk", "wandb.proto", "wandb.cli")
"""Packages of theirs that are private without an underscore."""

NOT_THEIRS = {
    "fer_tune.__version__": "our own",
    "_replace": "of a named tuple, and documented",
    "_Hash": "the type that hashlib returns, which has no other name",
    "_place": "of another object of the same class",
}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(file: Path) -> list[str]:
    """Return what a module touches that is private to a library, or to an object that is not its own."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {  # names that are imported to check types have no effect when the library moves
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found, imported, own = [], set(), set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                modules = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                modules = [f"{module}.{alias.name}" for alias in aliases]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()) if private(name):
                own.add(name)
                continue
            case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)) if private(name):
                own.add(name)
                continue
            case _:
                continue
        imported |= {module.split(".")[0] for module in modules}
        for module in modules if node not in for_types else ():
            if any(map(private, module.split("."))) or module.startswith(INNER_ROOMS):
                found.append(module)
    if "torch" in imported and not imported & LIBRARIES.keys():
        return found  # what is private in torch is another matter
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr):
            of_its_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not of_its_own or node.attr not in own:  # one that a library's class has set is not its own
                found.append(node.attr)
    return [name for name in found if name not in NOT_THEIRS]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_is_private_to_a_library_is_touched_in_one_module(file: Path) -> None:
    if file.relative_to(ROOT).as_posix() not in LIBRARIES.values():
        assert private_names(file) == []


@pytest.mark.parametrize(("library", "module"), LIBRARIES.items())
def test_a_module_of_private_points_touches_those_of_its_library_and_names_a_test(library: str, module: str) -> None:
    file = ROOT / module
    assert private_names(file)
    text = file.read_text(encoding="utf-8")
    assert not any(f"import {other}" in text or f"from {other}" in text for other in LIBRARIES.keys() - {library})
    folder = file.relative_to(ROOT / "fer_tune").parent
    tests = ROOT / "tests" / folder / f"test_{file.name}"
    assert tests.relative_to(ROOT).as_posix() in text
    points = {
        node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else ast.unparse(node.targets[0])
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) and not ast.unparse(node).startswith("def _")
    }
    tested = tests.read_text(encoding="utf-8")
    assert [point for point in points if point not in tested] == []


@pytest.mark.parametrize(
    ("text", "touched"),
    [
        ("from ray._private.state import state", "ray._private.state.state"),
        ("from ray.tune.schedulers.async_hyperband import _Bracket", "ray.tune.schedulers.async_hyperband._Bracket"),
        ("from wandb.sdk.lib import wbauth", "wandb.sdk.lib.wbauth"),
        ("def f(trial): return trial._trial_id", "_trial_id"),
        ("import torch, optuna\ndef f(study): return study._storage", "_storage"),
        ("from a import B\nclass A(B):\n  def f(self): return self._metric", "_metric"),
    ],
)
def test_a_private_name_is_seen(tmp_path: Path, text: str, touched: str) -> None:
    (tmp_path / "module.py").write_text(text, encoding="utf-8")
    assert private_names(tmp_path / "module.py") == [touched]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_module_holds_one_idea(file: Path) -> None:
    assert file.stat().st_size <= 15_000, "over 15 KB is a sign that two ideas share a module"
