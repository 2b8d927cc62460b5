"""The program prints to any console: one without the letters, one that is closed, one in another locale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import FER_TUNE

from fer_tune.data.prepared.writer import Record, write_dataset

JAPANESE = ("喜び", "怒り", "悲しみ")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    records = {
        split: [Record(rng.integers(0, 256, (8, 8, 1), np.uint8), each % 3, f"{split}/{each}") for each in range(6)]
        for split in ("train", "val", "test")
    }
    folder = tmp_path_factory.mktemp("consoles") / "data"
    write_dataset(folder, records, name="some", source="a test", classes=JAPANESE, splits={}, hygiene={"notes": []})
    return folder


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*FER_TUNE, *map(str, words)], env={**os.environ, **environment}, capture_output=True, timeout=60, check=False
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_class_names_are_shown_as_far_as_the_console_has_their_letters(
    dataset: Path, tmp_path: Path, encoding: str
) -> None:
    done = run("data", "show", dataset, "--out", tmp_path / "samples.png", PYTHONIOENCODING=encoding)
    told = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr
    assert ("喜び" if encoding == "utf-8" else r"\u559c\u3073") in told


@pytest.mark.parametrize("words", [("published", "list"), ("spaces", "list")])
def test_what_is_piped_into_another_program_has_every_row_on_a_line(words: tuple[str, ...]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run([*FER_TUNE, *words], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert sum("cnn_global_pooling " in line for line in done.stdout.splitlines()) == 1
    assert all(line[:1].strip() for line in done.stdout.splitlines())  # none goes on from the line above


def test_signs_of_our_own_are_spelt_out(tmp_path: Path) -> None:
    done = run("spaces", "validate", tmp_path / "a…b.yaml", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert f"{tmp_path}/a...b.yaml" in done.stderr.decode("ascii")


def test_a_pipe_that_nobody_reads_is_no_fault(dataset: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*FER_TUNE, "spaces", "list"], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_streams_that_are_closed_from_the_beginning_lead_nowhere(tmp_path: Path) -> None:
    """Else the next file that is opened is standard output, and Ray's daemons write into it."""
    code = (
        "import os, sys; from fer_tune.cli.parts.streams import lasting_streams\n"
        "with lasting_streams():\n"
        "    file = open(sys.argv[1], 'w'); print('printed'); os.system('echo said; echo told >&2')\n"
        "    assert not sys.stdin.read() and not sys.stdout.isatty() and not sys.__stderr__.isatty()\n"
        "    file.write(str(file.fileno()))"
    )
    script = '"$1" -c "$2" "$3" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", script, "sh", sys.executable, code, tmp_path / "file"], timeout=60, check=False)
    assert done.returncode == 0
    assert int((tmp_path / "file").read_text()) > 2
    done = subprocess.run(["sh", "-c", '"$@" <&- >&-', "sh", *FER_TUNE, "spaces", "list"], timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
@pytest.mark.parametrize("words", [("spaces", "list"), ("--version",)])
def test_a_full_disk_under_what_is_printed_is_told_and_ends_nothing(words: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*FER_TUNE, *words], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 0
    (told,) = done.stderr.decode().splitlines()
    assert told == "fer-tune: the output is cut off here, it cannot be written: No space left on device"


def test_a_name_that_the_locale_cannot_say_is_told_with_the_cure(tmp_path: Path) -> None:
    """Else Arrow says in the middle of a search that surrogates are not allowed."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("spaces", "validate", tmp_path / "fér", **plain)
    assert done.returncode == 2
    assert f"{tmp_path}/fér: not a name in ascii" in done.stderr.decode("utf-8")  # its bytes, as they were given
    assert b"set PYTHONUTF8=1" in done.stderr
    told = run("spaces", "validate", tmp_path / "fér", **plain | {"PYTHONUTF8": "1"}).stderr.decode("utf-8")
    assert f"{tmp_path}/fér" in told
    assert "not a name" not in told


def test_a_program_that_calls_it_keeps_its_own_streams() -> None:
    """Closed with what stood in for them, they would take nothing more."""
    program = "import gc, sys\nfrom fer_tune.cli import main\nmain.app = lambda: print('inside')\n"
    program += "main.main(); gc.collect(); print('after'); print('and so', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "inside\nafter\n", "and so\n")


@pytest.mark.parametrize("columns", ["0", "3", "20", "80"])
def test_a_console_of_any_width_is_told_everything(dataset: Path, tmp_path: Path, columns: str) -> None:
    done = run("data", "show", dataset, "--out", tmp_path / "samples.png", COLUMNS=columns, PYTHONIOENCODING="utf-8")
    told = done.stdout.decode("utf-8")
    assert done.returncode == 0, done.stderr
    for word in (*JAPANESE, "train", "val", "test", "6"):
        assert word in told


def test_help_names_every_option_whole_in_80_columns() -> None:
    told = run("search", "--help", COLUMNS="80").stdout.decode("utf-8")
    for option in ("--workers-per-trial", "--warm-start-top", "learning_rate=1e-4:1e-2", "val_balanced_accuracy"):
        assert option in told
    told = " ".join(run("--help", COLUMNS="80").stdout.decode("utf-8").split())
    assert "search Search learning rate, batch size, augmentation, freeze depth and more, per backbone. resume" in told
