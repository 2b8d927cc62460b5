"""A user without a home, as in a container, has one for what asks for it."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from fer_tune.filing import home


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(home.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError):
        Path.home()
    return tmp_path


def test_it_is_made_for_this_user_alone_and_told(homeless: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.ensure_home()
    made = homeless / f"fer-tune-home-{os.getuid()}"
    assert Path.home() == made
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert f"HOME is not set: caches are kept in {made}" in capsys.readouterr().err
    home.ensure_home()  # there is one now
    assert capsys.readouterr().err == ""


def test_one_that_another_user_made_is_not_trusted(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (homeless / f"fer-tune-home-{os.getuid() + 1}").mkdir()
    uid = os.getuid() + 1
    monkeypatch.setattr(home.os, "getuid", lambda: uid)
    home.ensure_home()
    assert Path.home() != homeless / f"fer-tune-home-{uid}"
    assert Path.home().parent == homeless


def test_a_home_that_is_known_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home.ensure_home()
    assert os.environ["HOME"] == str(tmp_path)
