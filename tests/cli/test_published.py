"""`fer-tune published` lists what papers picked by hand, and trains one as published."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from drawing import tiny_dataset
from typer.testing import CliRunner, Result

from fer_tune.cli.published import app
from fer_tune.errors import UserError
from fer_tune.search.spaces.published import shipped_published

NAME = "di504-metu/simpler"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path, n_train=70, n_val=35, n_test=7)
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def run(data: Path, out: Path, *more: str | Path, name: str = NAME) -> Result:
    return invoke("run", name, "--data", data, "--out", out, *more)


def rows(result: Result) -> list[list[str]]:
    """The rows of the table of epochs."""
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines() if line[:5].strip().isdigit()]


def test_list_has_a_row_per_entry_without_the_model_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("fer_tune.models")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fer_tune.models", None)  # importing it now fails
    result = invoke("list")
    assert result.exit_code == 0
    told = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[1:]}
    assert told.keys() == {entry.name for _, entry in shipped_published()}
    assert told["qutub-atay-2023/vgg19-raf-db"][:5] == ["raf-db", "vgg19_gap", "85.87", "%", "test"]
    assert told[NAME][:3] == ["fer2013", "cnn_simpler", "none"]
    entries = {entry.name: entry for _, entry in shipped_published()}
    assert told[NAME][3:] == [str(len(entries[NAME].chosen) - 1), "settings,", "network"]  # its layers are not given


def test_names_are_listed_whole_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = {line.split(" ")[0] for line in invoke("list").stdout.splitlines()[1:]}
    assert told - {""} == {entry.name for _, entry in shipped_published()}


def test_show_tells_every_setting_what_is_open_and_all_that_is_reported() -> None:
    result = invoke("show", "jahangir-2024/vgg16-from-scratch")
    lines = result.stdout.splitlines()
    assert "seconds 1218.66, seconds other table 8764.24" in lines[-1]
    assert any(line.split()[:2] == ["target_accuracy", "0.67"] and "67 or at 75 %" in line for line in lines)
    assert any(line.startswith("network: the convolutions are not given") for line in lines)


def test_show_gives_the_digits_of_the_paper() -> None:
    told = invoke("show", "jahangir-2024/resnet50-fine-tuning").stdout.splitlines()[-1]
    assert told == "reported: train accuracy 25.14, val accuracy 24.75, seconds 15811.03, seconds other table 5793"


def test_run_trains_as_published_and_records_it(tiny: Path, tmp_path: Path) -> None:
    result = run(tiny, tmp_path / "out", "--epochs", "2")
    assert [row[0] for row in rows(result)] == ["1", "2"]
    record = json.loads((tmp_path / "out/published.json").read_text())
    assert record["config"]["learning_rate"] == 1e-4
    assert record["config"]["schedule"] == "plateau"
    assert record["config"]["epochs"] == 2
    found = json.loads((tmp_path / "out/result.json").read_text())
    assert f"best validation accuracy: {100 * found['best_val_accuracy']:.2f} %" in result.stdout
    assert found["interval"][0] < found["best_val_accuracy"] < found["interval"][1]
    assert "published for fer2013; this is tiny" in result.stdout
    assert (tmp_path / "out/best.safetensors").is_file()
    again = run(tiny, tmp_path / "out", "--epochs", "2")  # nothing left to train
    assert rows(again) == []
    assert f"{100 * found['best_val_accuracy']:.2f} %" in again.stdout


def test_run_says_that_random_weights_are_frozen(tiny: Path, tmp_path: Path) -> None:
    name = "ostim-2024/mobilenetv3_small"
    result = run(tiny, tmp_path / "out", "--epochs", "1", "--no-pretrained", name=name)
    assert len(rows(result)) == 1
    assert "note: 5 stages are frozen at random weights" in result.stdout


def test_run_never_reads_the_test_split(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_tune.data.prepared.store import PreparedDataset

    monkeypatch.setattr(PreparedDataset, "open_test", lambda self: pytest.fail("the test split was opened"))
    assert len(rows(run(tiny, tmp_path / "out", "--epochs", "1"))) == 1


def test_run_starts_from_the_weights_of_an_earlier_one(tiny: Path, tmp_path: Path) -> None:
    first = run(tiny, tmp_path / "first", "--epochs", "3")
    second = run(tiny, tmp_path / "second", "--epochs", "1", "--weights", tmp_path / "first")
    assert float(rows(second)[0][1]) < float(rows(first)[0][1])  # the training loss goes on from where it was
    assert "first/best.safetensors: 26 of 26 tensors copied, 100.0 % of the numbers" in second.stdout


def test_run_starts_from_the_weights_behind_a_uri_and_keeps_to_them(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "cache"))
    assert len(rows(run(tiny, tmp_path / "first", "--epochs", "1"))) == 1
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "first/best.safetensors"), "/weights/first/best.safetensors")
    arguments = ("--epochs", "1", "--weights", "memory://weights/first")
    result = run(tiny, tmp_path / "second", *arguments)
    assert "26 of 26 tensors copied, 100.0 % of the numbers" in result.stdout
    kept = json.loads((tmp_path / "second/published.json").read_text())["config"]["weights"]
    assert kept.startswith("memory://weights/first/best.safetensors#")
    assert rows(run(tiny, tmp_path / "second", *arguments)) == []  # the same content: the same run, which is done
    memory.rm("/weights", recursive=True)


def test_faults_are_told_before_anything_is_written(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments, told in {
        ("--weights", tmp_path / "absent.pt"): "absent.pt: no such weights file",
        ("--pretrained",): "cnn_simpler: has no ImageNet weights",
    }.items():
        result = run(tiny, out, "--epochs", "1", *arguments)
        assert isinstance(result.exception, UserError)
        assert told in str(result.exception)
        assert not out.exists()


def test_too_little_memory_is_named_with_the_batch_size(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from fer_tune.training.steps.step import Step

    monkeypatch.setattr(Step, "__call__", lambda *_: torch.empty(2**58, dtype=torch.uint8))
    result = run(tiny, tmp_path / "out", "--epochs", "1")
    assert isinstance(result.exception, UserError)
    assert "out of memory at batch_size 64, images of 24 pixels" in str(result.exception)


def test_a_folder_that_holds_something_else_is_left_alone(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/work.txt").write_text("my own work")
    result = run(tiny, tmp_path / "mine", "--epochs", "1")
    assert "not a run of `fer-tune published run`" in str(result.exception)
    assert len(rows(run(tiny, tmp_path / "out", "--epochs", "1"))) == 1
    result = run(tiny, tmp_path / "out", "--epochs", "3")
    assert "holds a run with other settings or data" in str(result.exception)


def test_the_heads_of_a_system_are_those_of_its_paper() -> None:
    for name, head in {
        "jahangir-2024/vgg16-transfer": "64-32",
        "jahangir-2024/vgg16-fine-tuning": "64-32",
        "jahangir-2024/resnet50-transfer": "64-32",
        "jahangir-2024/resnet50-from-scratch": "128-64",
    }.items():
        lines = [line.split() for line in invoke("show", name).stdout.splitlines()]
        assert ["head", head] in lines  # and nothing is said to be left open


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the nine variants of di504-metu, two small ones."""
    import analysis.published.experiment as module

    kept = ("di504-metu/simpler", "di504-metu/separable-convolutions", "ostim-2024/resnet50")
    known = tuple(pair for pair in shipped_published() if pair[1].name in kept)
    monkeypatch.setattr(module, "shipped_published", lambda: known)


def test_several_run_side_by_side_and_end_in_one_table(ray_local: None, two: None, tiny: Path, tmp_path: Path) -> None:
    result = invoke("run", "di504-metu", "--data", tiny, "--out", tmp_path / "all", "--epochs", "1")
    assert result.exit_code == 0, result.output
    assert "2 experiments, as published, one seed each" in result.stdout
    table = result.stdout.splitlines()[-2:]
    for line, name in zip(table, ("separable-convolutions", "simpler"), strict=True):
        found = json.loads((tmp_path / "all" / f"di504-metu-{name}" / "result.json").read_text())
        low, high = (f"{100 * bound:.1f}" for bound in found["interval"])
        assert line.split()[:2] == [f"di504-metu/{name}", f"cnn_{name.split('-')[0]}"]
        assert f"{100 * found['best_val_accuracy']:.1f} ({low} to {high})" in line
        assert "1 of 1" in line
    again = invoke("run", "di504-metu", "--data", tiny, "--out", tmp_path / "all", "--epochs", "1")
    assert again.stdout.splitlines()[-2:] == table  # it went on where it was, which is the end


def test_one_that_fails_leaves_the_others_and_exits_with_one(
    ray_local: None, two: None, tiny: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "all" / "di504-metu-simpler"
    assert len(rows(run(tiny, folder, "--epochs", "1"))) == 1
    (folder / "state.pt").write_bytes(b"damaged")
    result = invoke("run", "di504-metu", "--data", tiny, "--out", tmp_path / "all", "--epochs", "1")
    assert result.exit_code == 1
    assert "di504-metu/simpler: FAILED: UserError" in result.stdout
    assert (tmp_path / "all" / "di504-metu-separable-convolutions" / "result.json").is_file()


def test_what_cannot_begin_is_told_of_all_before_one_is_trained(two: None, tiny: Path, tmp_path: Path) -> None:
    result = invoke("run", "--all", "--data", tiny, "--out", tmp_path / "all", "--weights", tmp_path / "absent.pt")
    assert isinstance(result.exception, UserError)
    assert "3 of 3 experiments cannot begin" in str(result.exception)
    assert str(result.exception).count("absent.pt: no such weights file") == 3
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name experiments or systems"),
        (("--all", NAME), "--all and di504-metu/simpler: one of them"),
        (("di504",), "di504: no such published configuration"),
    ],
)
def test_what_is_asked_for_must_be_there(tiny: Path, arguments: tuple[str, ...], told: str) -> None:
    result = invoke("run", *arguments, "--data", tiny)
    assert isinstance(result.exception, UserError)
    assert told in str(result.exception)


def test_all_are_those_for_the_dataset(two: None) -> None:
    from analysis.published.experiment import experiments

    found = experiments([], "fer2013", None, everything=True)
    assert [one.entry.dataset for one in found] == ["fer2013"] * 3
    assert found[0].folder == Path("runs/published/di504-metu-separable-convolutions")
