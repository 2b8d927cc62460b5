"""Benchmarks are run by hand: what they import is looked up here, as the house they measure changes meanwhile."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_a_benchmark_imports_is_there(file):
    own = {each.stem for each in FILES}
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        top = node.module.partition(".")[0]
        if top in ("fer_tune", "analysis"):
            home = importlib.import_module(node.module)
            inner = {Path(each).stem for folder in getattr(home, "__path__", ()) for each in Path(folder).glob("*")}
            missing = [name.name for name in node.names if not hasattr(home, name.name) and name.name not in inner]
            assert missing == [], f"{file.name}:{node.lineno}"
        elif top in own:
            defined = names_in(file.with_name(f"{top}.py"))
            assert {name.name for name in node.names} <= defined, f"{file.name}:{node.lineno}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_a_benchmark_takes_from_a_module_or_puts_into_it_is_there(file):
    tree = ast.parse(file.read_text())
    homes = {
        name.asname: importlib.import_module(name.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
        if name.asname and name.name.partition(".")[0] in ("fer_tune", "analysis")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in homes:
            assert hasattr(homes[node.value.id], node.attr), f"{file.name}:{node.lineno}"


def names_in(file: Path) -> set[str]:
    """What a module defines or imports at its top."""
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(name.asname or name.name).partition(".")[0] for name in node.names}
        else:
            found |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return found
