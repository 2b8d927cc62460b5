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
    assert openers <= {"analysis/heldout/opening.py"}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_module_holds_one_idea(file: Path) -> None:
    assert file.stat().st_size <= 15_000, "over 15 KB is a sign that two ideas share a module"
