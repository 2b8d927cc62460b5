"""What an installed fer-tune finds and offers, and what the repository keeps out."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path

import click
import pytest
import typer.main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from typer.testing import CliRunner

from fer_tune.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(sysconfig.get_path("scripts"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def commands(group: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, group)]
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*path, name))
    return found


COMMANDS = commands(typer.main.get_command(app))


def test_the_program_names_every_command() -> None:
    shown = subprocess.run([SCRIPTS / "fer-tune", "--help"], capture_output=True, text=True, check=True).stdout
    assert {path[0] for path, _ in COMMANDS if path} >= {
        "dashboard",
        "data",
        "spaces",
        "search",
        "resume",
        "refit",
        "test",
        "report",
        "published",
        "watch",
        "sync",
        "predict",
        "export",
        "compare",
    }
    for path, _ in COMMANDS:
        assert all(re.search(rf"\b{name}\b", shown) for name in path[:1])


@pytest.mark.parametrize(
    ("path", "command"), COMMANDS, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_help(path: tuple[str, ...], command: click.Command) -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*path, "--help"])
    assert result.exit_code == 0, result.output
    assert (command.help or "").strip()
    for parameter in command.params:
        assert getattr(parameter, "help", "told"), f"{' '.join(path)}: {parameter.name} is not explained"


def test_the_program_starts_without_the_heavy_libraries() -> None:
    heavy = "{'torch', 'ray', 'optuna', 'wandb', 'timm', 'sklearn', 'matplotlib', 'pandas', 'pyarrow'}"
    code = f"import sys, fer_tune.cli.main; print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_shipped_files_are_found() -> None:
    spaces = {item.name for item in files("search_spaces").iterdir() if item.name.endswith(".yaml")}
    assert {"cnn_baseline.yaml", "cnn_residual.yaml", "resnet18.yaml"} <= spaces
    assert files("clusters").joinpath("runtime_env.yaml").is_file()


def test_the_wheel_takes_every_package() -> None:
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == packages


@pytest.mark.slow
def test_wheel(tmp_path: Path) -> None:
    uv = SCRIPTS / "uv"
    if not uv.exists():
        pytest.skip("needs uv, which `make setup` installs")
    built = subprocess.run(
        [uv, "build", "--wheel", "--offline", "--quiet", "--out-dir", tmp_path, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    if "hatchling" in built.stderr and "offline" in built.stderr.lower():
        pytest.skip("needs hatchling in uv's cache")
    assert built.returncode == 0, built.stderr
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    packages = tuple(f"{name}/" for name in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert {name for name in tracked if name.startswith(packages)} <= names
    assert not [name for name in names if name.startswith("tests/")]


def requirements() -> list[Requirement]:
    project = PYPROJECT["project"]
    texts = project["dependencies"] + PYPROJECT["dependency-groups"]["dev"]
    for extra in project["optional-dependencies"].values():
        texts += extra
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.name)
def test_the_lock_has_a_version_in_range(requirement: Requirement) -> None:
    locked = [
        Version(version)
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", LOCK, flags=re.MULTILINE)
        if canonicalize_name(name) == canonicalize_name(requirement.name)
    ]
    assert locked
    assert all(version in requirement.specifier for version in locked), (str(requirement), locked)


def test_the_lock_names_no_address() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*--", LOCK, flags=re.MULTILINE)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        (".venv/bin/python", True),
        ("data/fer2013/train.arrow", True),
        ("runs/demo/search.yaml", True),
        ("demo/data/dataset.json", True),
        ("wandb/offline-run-1/run.wandb", True),
        ("fer_tune/__pycache__/config.cpython-311.pyc", True),
        ("fer_tune/data/prepared/store.py", False),
        ("tests/data/test_store.py", False),
        ("search_spaces/resnet18.yaml", False),
    ],
)
def test_git_ignores_what_runs_write(path: str, ignored: bool) -> None:
    status = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", path], cwd=ROOT, check=False).returncode
    assert status == (0 if ignored else 1)


def test_make_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = re.findall(r"^\.PHONY: (\S+)", makefile, flags=re.MULTILINE)
    assert {"setup", "demo", "test", "lint", "bench"} <= set(targets)
    assert [line.split()[1] for line in shown.splitlines()] == targets
