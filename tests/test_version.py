"""The commit of the code that runs: of a checkout, and of nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fer_tune import version


@pytest.fixture
def placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which the package lies, not yet as a part of it."""
    (tmp_path / "fer_tune").mkdir()
    file = tmp_path / "fer_tune" / "version.py"
    file.write_text("1")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "first")
    monkeypatch.setattr(version, "__file__", str(file))
    return file


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(("git", *who, *words), cwd=folder, check=True, capture_output=True)


def test_a_checkout_has_a_commit_and_tells_of_changes(placed: Path) -> None:
    git(placed.parent, "add", ".")
    git(placed.parent, "commit", "--quiet", "--message", "second")
    clean = version.commit.__wrapped__()
    assert len(clean) == 12
    placed.write_text("2")
    assert version.commit.__wrapped__() == f"{clean}-dirty"


def test_a_package_installed_within_somebodys_repository_has_none(placed: Path) -> None:
    assert version.commit.__wrapped__() == ""


def test_without_git_there_is_none(placed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert version.commit.__wrapped__() == ""
