"""How the tests themselves are shared among parallel processes, on a small suite of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

CONFTEST = """
import pytest
from side_by_side import OneRay, SideBySide

def pytest_configure(config):
    config.pluginmanager.register(OneRay())

def pytest_xdist_make_scheduler(config, log):
    return SideBySide(config, log)

@pytest.fixture(scope="session")
def ray_local(pytestconfig):
    OneRay.started(pytestconfig)

@pytest.fixture
def hidden(ray_local):
    pass

@pytest.fixture(autouse=True)
def note(request, worker_id):
    with (request.config.rootpath / "order").open("a") as file:
        file.write(f"{worker_id} {request.path.name}\\n")
"""
NEEDS = "import time\n\ndef test_one(ray_local): time.sleep(0.1)\n\ndef test_two(): time.sleep(0.1)\n"
PLAIN = "import time\n\ndef test_one(): time.sleep(0.1)\n\ndef test_two(): time.sleep(0.1)\n"
HIDDEN = "def test_one(hidden): pass\n"


def ran(folder: Path, **files: str) -> tuple[subprocess.CompletedProcess[str], dict[str, list[str]]]:
    """Run ``files`` in two processes; return how that ended, and {process: the files whose tests it ran, in order}."""
    for name, text in {"conftest": CONFTEST, **files}.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "pytest.ini").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "--numprocesses", "2", "."],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    order: dict[str, list[str]] = {}
    for line in (folder / "order").read_text().splitlines():
        order.setdefault(line.split()[0], []).append(line.split()[1])
    return ended, order


def test_what_needs_ray_is_run_first_and_in_one_process_and_of_the_others_each_file(tmp_path: Path) -> None:
    ended, order = ran(tmp_path, test_a=PLAIN, test_b=PLAIN, test_c=PLAIN, test_x=NEEDS, test_y=NEEDS)
    assert ended.returncode == 0, ended.stdout
    assert sum(map(len, order.values())) == 10
    (of_ray,) = (files for files in order.values() if "test_x.py" in files or "test_y.py" in files)
    assert of_ray[:4] == ["test_x.py", "test_x.py", "test_y.py", "test_y.py"]
    for name in ("test_a.py", "test_b.py", "test_c.py"):
        assert len([files for files in order.values() if name in files]) == 1


def test_a_second_ray_fails_the_session(tmp_path: Path) -> None:
    """A fixture of another file asks for Ray, so that nobody sees it before."""
    ended, order = ran(tmp_path, test_a=HIDDEN, test_x=NEEDS)
    assert sorted(order.values()) == [["test_a.py"], ["test_x.py", "test_x.py"]]
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "2 processes started a Ray" in ended.stdout


def test_none_of_our_tests_needs_ray_through_a_fixture_of_another_file() -> None:
    asking = [file for file in TESTS.rglob("conftest.py") if "ray_local" in file.read_text(encoding="utf-8")]
    assert asking == [TESTS / "conftest.py"]
