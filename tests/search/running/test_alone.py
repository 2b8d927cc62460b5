"""One program at a time searches in a run's folder."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.search.running.alone import alone
from fer_tune.search.running.engine import resume


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / "search.yaml").write_text("")
    return RunFolder(folder)


def test_a_second_resume_is_refused_and_a_later_one_is_not(run: RunFolder) -> None:
    with (
        alone(run),
        pytest.raises(UserError, match=r"my run: another fer-tune searches .*`fer-tune watch '.*/my run'`"),
    ):
        resume(run.path)
    with pytest.raises(UserError, match=r"not a search\.yaml"):  # it comes as far as reading it
        resume(run.path)
    assert [file.name for file in run.path.iterdir()] == ["search.yaml"]


def test_a_driver_that_was_killed_leaves_nothing(run: RunFolder) -> None:
    holding = (
        "import sys, time; from pathlib import Path; from fer_tune.run_folder import RunFolder\n"
        "from fer_tune.search.running.alone import alone\n"
        "with alone(RunFolder(Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holding, str(run.path)], stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match="another fer-tune"), alone(run):
            pytest.fail("two at once")
        driver.kill()
    with alone(run):
        pass


def test_a_drive_without_locks_is_used_without(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with alone(run), alone(run):
        pass
