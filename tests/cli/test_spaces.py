"""`fer-tune spaces` lists, shows, validates and copies search spaces."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from fer_tune.cli.spaces import app
from fer_tune.errors import UserError
from fer_tune.models import create_model
from fer_tune.models.memory import step_memory
from fer_tune.models.stages import backbone_stages
from fer_tune.search.spaces.loading import load_space, shipped_spaces, shipped_text


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def faults(result: Result) -> list[str]:
    assert isinstance(result.exception, UserError)
    return str(result.exception).splitlines()


def test_list_has_a_row_per_shipped_space() -> None:
    result = run("list")
    assert result.exit_code == 0
    rows = {line.split()[0]: line.split()[1:3] for line in result.stdout.splitlines()[1:]}
    assert list(rows) == shipped_spaces()
    space = load_space("resnet18")
    assert rows["resnet18"] == [str(len(space.parameters)), str(len(space.published))]
    assert space.about in result.stdout


def test_list_does_not_import_the_model_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("fer_tune.models")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fer_tune.models", None)  # importing it now fails
    assert run("list").exit_code == 0


def test_show_tells_ranges_conditions_fixed_values_published_ones_and_stages() -> None:
    result = run("show", "resnet18")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()

    def line(start: str) -> str:
        return next(each for each in lines if each.startswith(start))

    space = load_space("resnet18")
    assert space.parameters["learning_rate"].describe() in line("learning_rate")
    assert "optimizer = sgd" in line("momentum")
    assert "true (fixed)" in line("pretrained")
    assert "test accuracy 68.07" in line("qutub-atay-2023/resnet18-fer2013")
    assert "optimizer adam" in line("qutub-atay-2023/resnet18-fer2013")  # outside the space
    left = 11_180_103
    for depth, stage in enumerate(backbone_stages("resnet18"), start=1):
        left -= stage.count
        assert line(f"{depth}  ").split() == [str(depth), *stage.name.split(), f"{stage.count:,}", f"{left:,}"]
    memory = step_memory("resnet18", 128)
    told = [word for batch in (32, 128) for word in (f"{memory.of_batch(batch) / 2**30:.2f}", "GiB")]
    assert line("128 ").split()[1:] == ["4x4", "cells", *told]


def test_show_prints_one_yaml_of_all_that_it_extends(tmp_path: Path) -> None:
    file = tmp_path / "whole.yaml"
    result = run("show", "cnn_global_pooling", "--yaml")
    file.write_text(result.stdout)
    assert "extends" not in result.stdout
    assert load_space(file) == load_space("cnn_global_pooling")


def test_show_takes_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("backbone: cnn_residual\nsearch: {drop_rate: {uniform: [0.125, 0.25]}}\n")
    assert "0.125 to 0.25" in run("show", file).stdout


def test_show_of_an_unknown_name_gives_the_nearest() -> None:
    assert "'resnet18'" in faults(run("show", "resnet81"))[0]


def test_validate_prints_ok_for_each_good_file_and_all_faults_of_the_others(tmp_path: Path) -> None:
    good, bad, worse = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "worse.yaml"
    good.write_text(shipped_text("cnn_residual"))
    bad.write_text("backbone: cnn_residual\nsearch: {drop_rate: {uniform: [0, 2]}}\n")
    worse.write_text("backbone: cnn_residul\nsearch:\n  drop: {uniform: [0, 0.5]}\n")
    result = run("validate", bad, good, worse, tmp_path / "gone.yaml")
    assert result.stdout == f"{good}: OK\n"
    told = faults(result)
    assert told[0].startswith("4 faults")
    assert [fault.split(": ")[0] for fault in told[1:]] == [
        f"{bad}:2",
        f"{worse}:1",
        f"{worse}:3",
        f"{tmp_path}/gone.yaml",
    ]


def test_validate_passes_good_files(tmp_path: Path) -> None:
    result = run("validate", "cnn_residual", "cnn_baseline")
    assert result.exit_code == 0
    assert result.stdout == "cnn_residual: OK\ncnn_baseline: OK\n"


@pytest.mark.parametrize("target", ["mine.yaml", "", None])
def test_copy_writes_the_file_into_place(target: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [] if target is None else [tmp_path / target]  # a file, a folder, or nothing
    result = run("copy", "cnn_residual", *arguments)
    assert result.exit_code == 0
    written = tmp_path / (target or "cnn_residual.yaml")
    assert written.read_text(encoding="utf-8") == shipped_text("cnn_residual")
    assert load_space(written) == load_space("cnn_residual")
    assert "--backbone cnn_residual --space" in result.stdout


def test_copy_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("my own work")
    assert (
        faults(run("copy", "cnn_residual", file))[0] == f"{file}: exists already; name another file, or remove it first"
    )
    assert file.read_text() == "my own work"


def test_copy_into_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    assert "cannot be written: No such file" in faults(run("copy", "cnn_residual", tmp_path / "gone" / "mine.yaml"))[0]


def test_weights_tells_tensor_by_tensor_what_a_backbone_would_start_from(tmp_path: Path) -> None:
    state = create_model("cnn_simpler", num_classes=5, in_chans=3).state_dict()
    del state["blocks.1.0.weight"]
    torch.save({"net": {f"encoder.{name}": value for name, value in state.items()}}, tmp_path / "w.pt")
    result = run("weights", tmp_path / "w.pt", "--backbone", "cnn_simpler")
    assert result.exit_code == 0
    rows = {line.split()[0]: line.rstrip().split(maxsplit=2)[1:] for line in result.stdout.splitlines() if line.strip()}
    assert rows["blocks.0.0.weight"] == ["16x3x5x5", "encoder.blocks.0.0.weight"]
    assert rows["blocks.1.0.weight"] == ["32x16x3x3", "(not there: left as initialised)"]
    assert rows["head.bias"] == ["7", "(there [5]: left as initialised)"]
    assert "taken from net, the only set of tensors in it" in result.stdout
    assert "names are read without their 'encoder.'" in result.stdout


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(create_model("cnn_separable", num_classes=7, in_chans=3).state_dict(), tmp_path / "w.pt")
    assert "fits this backbone" in faults(run("weights", tmp_path / "w.pt", "--backbone", "resnet18"))[0]
