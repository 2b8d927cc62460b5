"""The commands predict, export and compare, on networks that were not trained: what they do with them counts."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from drawing import tiny_dataset
from fake_run import FakeRun, guesses
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner
from wild import Pen, table, turned

from analysis import load_run
from analysis.heldout.scaling import scaling
from analysis.refits.plan import plan_refits
from analysis.results import TestResult as Scored
from analysis.statistics.calibration.temperature import with_temperature
from analysis.statistics.scores import score
from analysis.use import sources
from analysis.use.averaged import built
from analysis.use.export import export as write
from analysis.use.predicting import Network, network
from analysis.use.sources import read_source
from fer_tune.cli import compare, export, predict
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.door import Interrupted
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.models import create_model

app = typer.Typer()
app.command("compare")(compare.command)
app.command("export")(export.command)
app.command("predict")(predict.command)

SEEDS = 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """A refitted run whose models are real networks with random weights."""
    folder = tmp_path_factory.mktemp("using")
    card = tiny_dataset(folder / "data", n_train=14, n_val=21, n_test=14)
    fake = FakeRun(folder / "run", dataset=folder / "data", content_hash=card.content_hash, dataset_name=card.name)
    run_folder = fake.write()
    run = load_run(run_folder.path)
    plan = plan_refits(run, top=1, seeds=SEEDS, published=False)
    write_json(plan, run_folder.refit_file)
    [config] = plan.configs
    for place, seed in enumerate(plan.seeds):
        fake.refit(run_folder, config.config_id, seed, 0.5 + 0.1 * place)
        torch.manual_seed(seed)
        model = create_model(config.backbone, num_classes=7, in_chans=1)
        file = run_folder.refit_seed(config.config_id, seed) / "best.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, file)
    return fake


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder with one image as the dataset has them, a larger one in colour, and what is no image."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "faces"
    (folder / "deeper").mkdir(parents=True)
    Image.fromarray(rng.integers(0, 256, (24, 24), dtype=np.uint8)).save(folder / "a.png")
    Image.fromarray(rng.integers(0, 256, (60, 50, 3), dtype=np.uint8)).save(folder / "deeper" / "b.jpg")
    (folder / "notes.txt").write_text("no image")
    return folder


def call(*arguments: Any, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_an_image_is_predicted_as_pytorch_does(made: FakeRun, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.csv"
    shown = call("predict", made.path, faces / "a.png", "--out", out, "--top-k", 2)
    frame = pd.read_csv(out)
    [row] = frame.to_dict("records")
    models = network(load_run(made.path))
    pixels = np.asarray(Image.open(faces / "a.png")) / 255
    images = torch.tensor((pixels - models.card.pixel_mean[0]) / models.card.pixel_std[0], dtype=torch.float32)
    with torch.inference_mode():
        each = [models.load(n, "cpu")(images[None, None]).softmax(1)[0] for n in range(SEEDS)]
    expected = torch.stack(each).mean(0).numpy()
    assert [row[f"p_{name}"] for name in models.card.classes] == pytest.approx(expected, abs=1e-5)
    order = np.argsort(-expected)
    assert (row["top_1"], row["top_2"]) == tuple(models.card.classes[index] for index in order[:2])
    assert "top_3" not in row
    assert f"{row['top_1']} {100 * row['probability_1']:.1f} %" in shown
    assert f"mean of {SEEDS} seeds" in shown


def test_a_folder_with_folders_in_it(made: FakeRun, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.parquet"
    shown = call("predict", made.path, faces, "--out", out)
    frame = pd.read_parquet(out)
    assert [Path(source).name for source in frame["source"]] == ["a.png", "b.jpg"]
    assert "b.jpg" in shown
    assert frame[[f"p_{name}" for name in made.classes]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)


def test_a_photograph_is_turned_upright_and_padded_as_the_card_says(made: FakeRun, tmp_path: Path) -> None:
    card = network(load_run(made.path)).card
    side = card.height
    [lying] = read_source(turned(tmp_path / "lying.png", 6), card)
    [upright] = read_source(turned(tmp_path / "upright.png", 1), card)
    assert (lying.images == upright.images).all()
    assert lying.images[0, : side // 5, side // 2].mean() > 200  # the white bar is on top
    assert (lying.images[0, :, 0] == 0).all()  # black beside a tall picture, not squashed
    [cropped] = read_source(tmp_path / "upright.png", card.model_copy(update={"fit": "crop"}))
    assert (cropped.images[0, side // 2, 0] > 0).all()


def test_the_rows_of_a_table_are_predicted(made: FakeRun, tmp_path: Path) -> None:
    pen = Pen(3)
    file = table(tmp_path / "test.csv", "pixels", [(f'"{pen.text()}"',) for _ in range(5)])
    call("predict", made.path, file, "--out", tmp_path / "found.csv")
    frame = pd.read_csv(tmp_path / "found.csv")
    assert list(frame["source"]) == [f"test.csv:{line}" for line in range(2, 7)]
    assert frame[[f"p_{name}" for name in made.classes]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-4)


def test_more_images_than_memory_holds_are_read_in_parts(
    made: FakeRun, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("predict", made.path, faces, "--out", tmp_path / "whole.csv")
    monkeypatch.setattr(sources, "AT_ONCE", 1)
    call("predict", made.path, faces, "--out", tmp_path / "parts.csv")
    whole, parts = pd.read_csv(tmp_path / "whole.csv"), pd.read_csv(tmp_path / "parts.csv")
    assert list(parts["source"]) == list(whole["source"])
    assert parts["p_happy"].to_numpy() == pytest.approx(whole["p_happy"].to_numpy(), abs=1e-5)


@pytest.mark.parametrize("suffix", ["csv", "md", "parquet"])
def test_broken_images_are_passed_over_and_listed(
    made: FakeRun, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    call("predict", made.path, faces, "--out", tmp_path / "whole.csv")
    whole = pd.read_csv(tmp_path / "whole.csv")
    (faces / "0.png").write_bytes(b"")
    (faces / "c.jpg").write_bytes((faces / "deeper" / "b.jpg").read_bytes()[:200])
    (faces / "d.png").symlink_to("nowhere.png")
    monkeypatch.setattr(sources, "AT_ONCE", 1)  # a part with nothing in it is one too
    out = tmp_path / f"found.{suffix}"
    shown = call("predict", made.path, faces, "--out", out, code=1)
    assert "3 images could not be read, the others are predicted:" in shown
    assert f"{faces}/0.png: empty file (0 bytes)" in shown
    assert f"{faces}/c.jpg: " in shown
    assert f"{faces}/d.png: a link that leads nowhere" in shown
    if suffix == "md":
        lines = out.read_text().splitlines()
        assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {source}" for source in whole["source"]]
        return
    frame = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
    assert list(frame["source"]) == list(whole["source"])
    assert frame["p_sad"].to_numpy() == pytest.approx(whole["p_sad"].to_numpy(), abs=1e-5)


def test_python_is_given_what_could_not_be_read(made: FakeRun, faces: Path) -> None:
    (faces / "0.png").write_bytes(b"")
    frame = load_run(made.path).predict(faces)
    assert frame.attrs["unreadable"] == {f"{faces}/0.png": "empty file (0 bytes)"}
    assert len(frame) == 2
    with pytest.raises(UserError, match="image 1: float64"):
        load_run(made.path).predict([np.zeros((4, 4), np.uint8), np.zeros((4, 4))])


def test_what_is_predicted_when_it_ends_early_is_written(
    made: FakeRun, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "AT_ONCE", 1)
    decode, seen = sources.decode, []

    def interrupted(file: Path, channels: int) -> Any:
        seen.append(file)
        if len(seen) > 1:
            assert len(pd.read_csv(tmp_path / "found.csv")) == 1  # it is there while the next one is read
            raise stop
        return decode(file, channels)

    monkeypatch.setattr(sources, "decode", interrupted)
    for stop in (KeyboardInterrupt(), MemoryError()):
        seen.clear()
        with pytest.raises((Interrupted, MemoryError)) as told:
            load_run(made.path).predict(faces, out=tmp_path / "found.csv")
        assert len(pd.read_csv(tmp_path / "found.csv")) == 1
        if isinstance(stop, KeyboardInterrupt):
            assert str(told.value) == f"stopped; predicted: 1 image, in {tmp_path / 'found.csv'}"


def test_an_interrupt_ends_the_command_with_130_and_parquet_can_be_read(
    made: FakeRun, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "AT_ONCE", 1)
    decode, seen = sources.decode, []

    def interrupted(file: Path, channels: int) -> Any:
        seen.append(file)
        if len(seen) > 1:
            raise KeyboardInterrupt
        return decode(file, channels)

    monkeypatch.setattr(sources, "decode", interrupted)
    shown = call("predict", made.path, faces, "--out", tmp_path / "found.parquet", code=130)
    assert "stopped; predicted: 1 image" in shown
    assert len(pd.read_parquet(tmp_path / "found.parquet")) == 1


def test_names_that_are_no_utf8_are_written(made: FakeRun, faces: Path, tmp_path: Path) -> None:
    (faces / "a.png").rename(os.fsdecode(os.fsencode(faces) + b"/caf\xe9.png"))
    call("predict", made.path, faces, "--out", tmp_path / "found.csv")
    assert f"{faces}/caf\\xe9.png" in list(pd.read_csv(tmp_path / "found.csv")["source"])


def test_where_nothing_can_be_written_is_told_before_anything_is_computed(
    made: FakeRun, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    faces.with_suffix(".csv").mkdir()
    monkeypatch.setattr(sources, "read_source", None)
    for out in (tmp_path / "file" / "found.csv", faces.with_suffix(".csv")):
        with pytest.raises(UserError, match=r"cannot be written.*; name another file"):
            call("predict", made.path, faces, "--out", out)


def test_a_prepared_dataset_with_its_labels(made: FakeRun, tmp_path: Path) -> None:
    out = tmp_path / "found.md"
    shown = call("predict", made.path, made.dataset, "--out", out)
    assert len(out.read_text().splitlines()) == 2 + 21
    assert "label" in out.read_text().splitlines()[0]
    assert "played a part in training or choosing" in shown
    frame_labels = [line.split(" | ")[1:3] for line in out.read_text().splitlines()[2:]]
    right = sum(label == top for label, top in frame_labels)
    assert f"right: {100 * right / 21:.1f} % of 21 images (95 % interval" in shown
    call("predict", made.path, made.dataset, "--split", "train", "--out", out)
    assert len(out.read_text().splitlines()) == 2 + 14


def test_another_dataset_is_predicted_when_its_shape_fits(made: FakeRun, tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "other", n_train=7, n_val=7, n_test=7, seed=3)
    assert "played a part" not in call("predict", made.path, tmp_path / "other")
    tiny_dataset(tmp_path / "larger", n_train=7, n_val=7, n_test=7, size=32)
    with pytest.raises(UserError, match="prepare it with --size 24 --fit pad --channels 1"):
        call("predict", made.path, tmp_path / "larger")


def test_the_held_out_split_is_not_opened(made: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> Any:
        raise AssertionError("the held-out split was opened")

    monkeypatch.setattr(PreparedDataset, "open_test", refuse)
    with pytest.raises(UserError, match="`fer-tune test` alone opens the held-out split"):
        call("predict", made.path, made.dataset, "--split", "test")


def test_a_seed_alone_and_views_change_the_answer(made: FakeRun, faces: Path, tmp_path: Path) -> None:
    plan = load_run(made.path).refit_plan
    found = []
    for number, options in enumerate([(), ("--seed", plan.seeds[0]), ("--seed", plan.seeds[1]), ("--views", "flip")]):
        out = tmp_path / f"{number}.csv"
        call("predict", made.path, faces / "a.png", "--out", out, *options)
        found.append(pd.read_csv(out)[[f"p_{name}" for name in made.classes]].to_numpy())
    assert found[0] == pytest.approx((found[1] + found[2]) / 2, abs=1e-5)
    assert np.abs(found[0] - found[3]).max() > 1e-6


def test_use_says_which_models_predict(made: FakeRun, faces: Path, tmp_path: Path) -> None:
    plan = load_run(made.path).refit_plan
    asked = [("--use", "single"), ("--seed", plan.seeds[1]), ("--use", "ensemble"), ()]
    found = []
    for number, options in enumerate(asked):
        out = tmp_path / f"{number}.csv"
        call("predict", made.path, faces / "a.png", "--out", out, *options)
        found.append(pd.read_csv(out)[[f"p_{name}" for name in made.classes]].to_numpy())
    assert (found[0] == found[1]).all()  # the better on validation
    assert (found[2] == found[3]).all()
    assert np.abs(found[0] - found[2]).max() > 1e-6


@pytest.fixture
def tempered(made: FakeRun) -> Iterator[list[float]]:
    """Let the run have a test that fitted a temperature for each seed."""
    run = load_run(made.path)
    [config] = run.refit_plan.configs
    labels = np.arange(14) % 7
    probabilities = np.stack([guesses(labels, 0.6, 7, seed) for seed in run.refit_plan.seeds])
    temperatures = [2.0, 4.0]
    result = Scored(
        **dict(score(labels, probabilities, made.classes, run.refit_plan.seeds, resamples=60)),
        config_id=config.config_id,
        backbone=config.backbone,
        origin=config.origin,
        config=config.config,
        when="2026-01-01T00:00:00+00:00",
        opening=1,
        selection="the only one",
        dataset="tiny",
        content_hash=made.content_hash,
        split_hash="0",
        fer_tune="0",
        scaling=scaling(labels, probabilities, temperatures, 21, resamples=60),
    )
    file = run.folder.test(config.config_id, 1) / "metrics.json"
    write_json(result, file)
    yield temperatures
    shutil.rmtree(file.parent)


def test_probabilities_are_scaled_as_the_test_fitted_it_unless_asked_not_to(
    made: FakeRun, faces: Path, tmp_path: Path, tempered: list[float]
) -> None:
    found, told = {}, {}
    for name, options in (
        ("fitted", ()),
        ("none", ("--temperature", "none")),
        ("views", ("--views", "flip")),
        ("plain views", ("--views", "flip", "--temperature", "none")),
    ):
        out = tmp_path / f"{name}.csv"
        seed = load_run(made.path).refit_plan.seeds[0]
        told[name] = call("predict", made.path, faces / "a.png", "--out", out, "--seed", seed, *options)
        found[name] = pd.read_csv(out)[[f"p_{name}" for name in made.classes]].to_numpy()
    assert found["fitted"] == pytest.approx(with_temperature(found["none"], tempered[0]), abs=1e-5)
    assert np.abs(found["fitted"] - found["none"]).max() > 1e-4
    assert (found["views"] == found["plain views"]).all()  # it was fitted for the image alone
    assert "scaled with the temperature 2.00, fitted on validation" in told["fitted"]
    assert "temperature" not in told["none"]


def test_what_is_exported_names_its_temperature(made: FakeRun, tmp_path: Path, tempered: list[float]) -> None:
    call("export", made.path, "--out", tmp_path / "with")
    held = json.loads((tmp_path / "with" / "preprocessing.json").read_text())
    assert held["temperature"] == tempered[1]  # of the best seed on validation
    assert held["steps"][-1] == "divide the logits by the temperature 4, then softmax gives probabilities"


def test_without_a_test_there_is_no_temperature(made: FakeRun, tmp_path: Path) -> None:
    call("export", made.path, "--out", tmp_path / "without")
    held = json.loads((tmp_path / "without" / "preprocessing.json").read_text())
    assert held["temperature"] is None
    assert held["steps"][-1] == "softmax of the logits gives probabilities"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("{faces}/a.png", "--use", "chosen"), "has not chosen yet: it does on validation, before it tests"),
        (("{faces}/a.png", "--use", "chosen", "--seed", 1001), "leave out --seed"),
        (("nowhere.png",), "no such file or folder"),
        (("{faces}/notes.txt",), "cannot be read as an image"),
        (("{faces}/a.png", "--seed", 5), "has the seeds 1001, 1002"),
        (("{faces}/a.png", "--config", "cnn_none"), "no refit of it has ended"),
        (("{faces}/a.png", "--out", "found.xls"), "must end in .csv, .parquet or .md"),
        (("{faces}/a.png", "--views", "all"), "one of none, flip, ten_crop"),
    ],
)
def test_what_cannot_be_predicted_is_named(made: FakeRun, faces: Path, options: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call("predict", made.path, *(str(option).replace("{faces}", str(faces)) for option in options))


def test_a_run_whose_dataset_is_gone_says_what_is_missing(made: FakeRun, faces: Path, tmp_path: Path) -> None:
    run = load_run(made.path)
    moved = run.settings.model_copy(
        update={"dataset": run.settings.dataset.model_copy(update={"path": str(tmp_path / "gone")})}
    )
    other = FakeRun(tmp_path / "other").write()
    other.write_settings(moved)
    with pytest.raises(UserError, match=r"copy its dataset\.json to"):
        call("predict", other.path, faces / "a.png")


def test_nothing_refitted_says_so(tmp_path: Path, made: FakeRun, faces: Path) -> None:
    other = FakeRun(tmp_path / "run", dataset=made.dataset, content_hash=made.content_hash).write()
    with pytest.raises(UserError, match="nothing is refitted yet"):
        call("predict", other.path, faces / "a.png")


def test_export_writes_the_best_seed_with_its_preprocessing(made: FakeRun, tmp_path: Path) -> None:
    run = load_run(made.path)
    shown = call("export", made.path, "--out", tmp_path)
    models = network(run)
    assert f"seed {models.seeds[1]}" in shown  # the better on validation
    written = load_file(tmp_path / "model.safetensors")
    trained = load_file(models.files[1])
    assert set(written) == set(trained)
    assert all(torch.equal(written[name], trained[name]) for name in written)
    about = json.loads((tmp_path / "preprocessing.json").read_text())
    assert about["classes"] == models.card.classes
    assert about["mean"] == models.card.pixel_mean
    assert about["input"]["shape"] == ["batch", 1, 24, 24]
    [one] = about["models"]
    assert (one["seed"], one["share"], one["settings"]["backbone"]) == (models.seeds[1], 1, one["backbone"])
    assert (about["use"], about["mirrored"]) == ("single", False)
    call("export", made.path, "--out", tmp_path / "first", "--seed", models.seeds[0])
    first = load_file(tmp_path / "first" / "model.safetensors")
    assert not all(torch.equal(first[name], written[name]) for name in written)


def several(made: FakeRun) -> Network:
    """Return both seeds with shares of their own and mirror images, as validation might choose them."""
    return replace(network(load_run(made.path)), use="chosen", shares=[0.25, 0.75], mirrored=True, name="greedy mean")


@pytest.mark.parametrize("format", ["safetensors", "onnx"])
def test_several_models_are_exported_as_one_that_predicts_as_they_do(
    made: FakeRun, faces: Path, tmp_path: Path, format: str
) -> None:
    if format == "onnx":
        pytest.importorskip("onnxscript")  # an extra; the lock has it
    models = several(made)
    assert write(models, tmp_path, format) < 1e-4
    about = json.loads((tmp_path / "preprocessing.json").read_text())
    assert [(one["seed"], one["share"]) for one in about["models"]] == list(
        zip(models.seeds, [0.25, 0.75], strict=True)
    )
    assert (about["use"], about["mirrored"]) == ("chosen", True)
    [part] = read_source(faces / "a.png", models.card)
    pixels = (part.images.transpose(0, 3, 1, 2) / 255 - models.card.pixel_mean[0]) / models.card.pixel_std[0]
    images = torch.tensor(pixels, dtype=torch.float32)
    expected = next(iter(models.predict([part], "cpu")))[1]
    if format == "safetensors":
        module = built(models)
        module.load_state_dict(load_file(tmp_path / "model.safetensors"))
        with torch.inference_mode():
            found = module(images).softmax(1).numpy()
    else:
        reference = importlib.import_module("onnx.reference")
        [logits] = reference.ReferenceEvaluator(str(tmp_path / "model.onnx")).run(None, {"images": images.numpy()})
        found = torch.tensor(logits).softmax(1).numpy()
    assert found == pytest.approx(expected, abs=1e-5)
    each = [models.alone(number) for number in range(2)]
    plain = [next(iter(replace(one, mirrored=True).predict([part], "cpu")))[1] for one in each]
    assert expected == pytest.approx(0.25 * plain[0] + 0.75 * plain[1], abs=1e-6)


def test_the_ensemble_of_the_seeds_is_exported_and_named(made: FakeRun, tmp_path: Path) -> None:
    shown = call("export", made.path, "--use", "ensemble", "--out", tmp_path)
    assert f"mean of {SEEDS} seeds, trained on train: not tested itself" in shown
    assert len(json.loads((tmp_path / "preprocessing.json").read_text())["models"]) == SEEDS


def test_models_that_take_images_of_two_sizes_are_not_exported_as_one(made: FakeRun, tmp_path: Path) -> None:
    models = several(made)
    larger = models.settings[1].model_copy(update={"image_size": 32})
    with pytest.raises(UserError, match="take images of 24, 32 pixels a side"):
        write(replace(models, settings=[models.settings[0], larger]), tmp_path, "safetensors")
    assert list(tmp_path.iterdir()) == []


def test_export_without_out_goes_into_the_run(made: FakeRun) -> None:
    call("export", made.path)
    assert (made.path / "export" / "model.safetensors").is_file()


def test_an_unknown_format_is_refused(made: FakeRun, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--format pickle: one of safetensors, onnx"):
        call("export", made.path, "--format", "pickle", "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_onnx_that_is_not_installed_is_named(made: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(UserError, match="needs onnxscript, not installed"):
        call("export", made.path, "--format", "onnx", "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_onnx_gives_the_outputs_of_pytorch(made: FakeRun, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")  # an extra; the lock has it
    shown = call("export", made.path, "--format", "onnx", "--out", tmp_path)
    assert (tmp_path / "model.onnx").is_file()
    assert "differ by at most" in shown


def test_compare_shows_the_runs_and_writes_the_table(made: FakeRun, tmp_path: Path) -> None:
    other = FakeRun(tmp_path / "second", dataset=made.dataset, content_hash=made.content_hash, trials=3, seed=4).write()
    shown = call("compare", made.path, other.path, "--out", tmp_path / "table.csv")
    assert "second" in shown
    assert "different budgets" in shown
    frame = pd.read_csv(tmp_path / "table.csv")
    assert list(frame["run"]) == ["run", "run", "second", "second"]
    best = load_run(other.path).ranked[0]["val_accuracy"]
    assert frame[frame["run"] == "second"]["search_accuracy"].max() == pytest.approx(best)
    call("compare", made.path, other.path, "--out", tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").width == 1280
    with pytest.raises(UserError, match="must end in one of"):
        call("compare", made.path, other.path, "--out", tmp_path / "table.xls")
    assert "No aggregates: two backbones or runs" in shown  # nothing was tested
    with pytest.raises(UserError, match="No aggregates"):
        call("compare", made.path, other.path, "--profiles", tmp_path / "profiles.png")
    with pytest.raises(UserError, match=r"--profiles .* must end in \.png or \.pdf"):
        call("compare", made.path, other.path, "--profiles", tmp_path / "profiles.csv")
    with pytest.raises(UserError, match="two runs or more"):
        call("compare", made.path)
