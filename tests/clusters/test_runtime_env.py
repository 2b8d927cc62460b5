"""The runtime environment of `ray job submit`: what is uploaded, and what Ray makes of the file."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import clusters

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fer_tune", "analysis", "search_spaces", "clusters")


@pytest.fixture(scope="module")
def runtime_env() -> dict[str, Any]:
    return yaml.safe_load(clusters.path("runtime_env.yaml").read_text(encoding="utf-8"))


def upload(folder: Path, runtime_env: dict[str, Any], package: Path) -> tuple[set[str], int]:
    """Return the names and the bytes of what Ray would upload from ``folder``, by Ray's own packaging."""
    from ray._private.ray_constants import get_runtime_env_default_excludes
    from ray._private.runtime_env.packaging import create_package

    excludes = get_runtime_env_default_excludes() + runtime_env["excludes"]
    create_package(str(folder), package, include_gitignore=True, excludes=excludes)
    with zipfile.ZipFile(package) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}, package.stat().st_size


def test_ray_accepts_it(runtime_env: dict[str, Any]) -> None:
    from ray.runtime_env import RuntimeEnv

    checked = RuntimeEnv(
        **{**runtime_env, "working_dir": "s3://bucket/code.zip"}
    )  # a folder is only checked by a cluster
    assert checked.env_vars()["RAY_JOB_STOP_SIGNAL"] == "SIGINT"
    assert int(checked.env_vars()["RAY_JOB_STOP_WAIT_TIME_S"]) >= 30


def test_the_upload_is_the_code_and_small(runtime_env: dict[str, Any], tmp_path: Path) -> None:
    names, size = upload(ROOT, runtime_env, tmp_path / "package.zip")
    code = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.suffix in (".py", ".yaml", ".j2", ".html", ".css", ".md", ".sh") and file.is_file()
    }
    assert code <= names
    assert {name.split("/")[0] for name in names if "/" in name} == set(PACKAGES)
    bytes_of_code = sum((ROOT / name).stat().st_size for name in code)
    assert size < 1.1 * bytes_of_code  # Ray does not compress; a tenth for the archive's own index


def test_what_lies_beside_the_code_stays_here(runtime_env: dict[str, Any], tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in (
        "fer_tune/config.py",
        "fer_tune/data/prepared/store.py",
        "fer_tune/__pycache__/config.cpython-311.pyc",
        "search_spaces/mine.yaml",
        "my_space.yaml",
        "data/fer2013/train.arrow",
        "faces/train.arrow",
        "x/secret.txt",
        "runs/a/search.yaml",
        "fer2013.csv",
        ".env",
        ".venv/bin/python",
        ".git/config",
        ".mypy_cache/3.11/cache.db",
        ".pytest_cache/v/cache",
        ".ruff_cache/0.9/x",
        "demo/runs/demo/search.yaml",
        "wandb/offline-run-1/run.wandb",
        "clusters/__pycache__/wait_for.cpython-311.pyc",
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x", encoding="utf-8")
    shutil.copy(ROOT / ".gitignore", project)
    names, _ = upload(project, runtime_env, tmp_path / "package.zip")
    assert names == {
        "fer_tune/config.py",
        "fer_tune/data/prepared/store.py",
        "search_spaces/mine.yaml",
        "my_space.yaml",
    }


def test_its_variables_are_on_purpose_and_no_secrets(runtime_env: dict[str, Any]) -> None:
    """Everything in a runtime environment can be read by every user of the cluster."""
    assert runtime_env["env_vars"] == {
        "PYTHONUNBUFFERED": "1",
        "RAY_JOB_STOP_SIGNAL": "SIGINT",
        "RAY_JOB_STOP_WAIT_TIME_S": "60",
    }
    assert runtime_env.keys() == {"working_dir", "excludes", "env_vars"}  # nothing is installed, per job or per trial


def test_the_search_may_add_its_own_variables(runtime_env: dict[str, Any]) -> None:
    """Ray refuses a job whose driver sets a variable that the runtime environment sets too."""
    from fer_tune.search.cluster import ray_session

    assert not runtime_env["env_vars"].keys() & ray_session._WORKERS.keys()
    assert not os.environ.get("RAY_OVERRIDE_JOB_RUNTIME_ENV")


def test_a_file_that_is_not_shipped() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        clusters.path("nowhere.yaml")
