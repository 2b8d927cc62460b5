"""Starting weights: what fits is copied, what does not is told, nothing fitting is an error."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from fer_tune.errors import UserError
from fer_tune.filing.tables import write_table
from fer_tune.models import create_model, load_weights
from fer_tune.models.weights.depth import other_depth
from fer_tune.models.weights.of_runs import find_weights
from fer_tune.run_folder import TRIAL_COLUMNS


def build(name: str = "cnn_simpler", classes: int = 7, channels: int = 1, **changes: object) -> nn.Module:
    return create_model(name, num_classes=classes, in_chans=channels, **changes)


FACES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def saved(model: nn.Module, file: Path, classes: tuple[str, ...] = ()) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {"classes": json.dumps(classes)} if classes else None
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, file, about)
    return file


def test_weights_that_fit_are_copied_and_the_rest_is_reported(tmp_path, caplog):
    donor, model = build(classes=5), build()
    with caplog.at_level(logging.INFO, logger="fer_tune"):
        report = load_weights(model, saved(donor, tmp_path / "donor.safetensors"))
    assert torch.equal(model.state_dict()["blocks.0.0.weight"], donor.state_dict()["blocks.0.0.weight"])
    assert report.reshaped == {"head.weight": ((5, 128), (7, 128)), "head.bias": ((5,), (7,))}
    assert report.missing == report.unused == report.adapted == ()
    assert report.numbers == report.of - 7 * 128 - 7
    assert "of another shape, left as initialised: head.weight [5, 128] for [7, 128]" in caplog.text


def test_a_chain_of_backbones_copies_what_they_share(tmp_path):
    # As B0 -> B1 -> B2: B1 repeats B0's blocks once more.
    donor = build("efficientnet_b0", image_size=48)
    model = build("efficientnet_b1", image_size=48)
    report = load_weights(model, saved(donor, tmp_path / "b0.safetensors"))
    assert 0.5 < report.numbers / report.of < 0.7
    assert "blocks.0.1.conv_dw.weight" in report.missing
    assert torch.equal(model.state_dict()["conv_stem.weight"], donor.state_dict()["conv_stem.weight"])
    assert f"{len(report.copied)} of {len(model.state_dict())} tensors copied" in str(report)
    assert "of a network of another depth: it has no blocks.0.1, blocks.1.2, blocks.2.2" in str(report)


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        (
            "resnet34",
            "resnet18",
            "it has layer1.2, layer2.2, layer2.3, layer3.2 and 3 more, and this backbone ",
        ),
        ("densenet121", "densenet169", "it has no features.denseblock3.denselayer25, "),
        ("vgg11", "vgg16", "it has no features.19, features.21, features.24, features.26 and 1 more, and this"),
        ("resnet18", "resnet18d", None),  # another stem and shortcut, and as many blocks
        ("resnet18", "resnet18", None),
    ],
)
def test_a_deeper_or_shallower_network_is_told(tmp_path, theirs, ours, told):
    with torch.device("meta"):
        file, names = timm.create_model(theirs).state_dict(), timm.create_model(ours).state_dict()
    body = [name for name in names if not name.startswith(("fc.", "head.", "classifier."))]
    missing, unused = [name for name in body if name not in file], [name for name in file if name not in names]
    found = other_depth(body, missing, unused)
    assert [each.removeprefix("of a network of another depth: ")[: len(told or "")] for each in found] == (
        [told] if told else []
    )


def test_a_file_that_ends_early_or_has_more_at_its_end_is_of_no_other_depth():
    body = ["stem.weight", "blocks.0.conv.weight", "blocks.1.conv.weight", "norm.weight"]
    assert other_depth(body, ["blocks.1.conv.weight", "norm.weight"], []) == []
    assert other_depth(body[:3], [], ["blocks.2.conv.weight", "decoder.0.conv.weight"]) == []
    assert other_depth(body, [], ["decoder.0.conv.weight"]) == []


def test_coloured_weights_become_grey_and_grey_ones_coloured(tmp_path):
    coloured, grey = build(channels=3), build()
    file = saved(coloured, tmp_path / "coloured.safetensors", FACES)
    report = load_weights(grey, file, classes=FACES)
    assert report.adapted == ("blocks.0.0.weight",)
    images = torch.rand(2, 1, 48, 48)
    assert torch.allclose(grey.eval()(images), coloured.eval()(images.repeat(1, 3, 1, 1)), atol=1e-5)
    again = build(channels=3)
    load_weights(again, saved(grey, tmp_path / "grey.safetensors", FACES), classes=FACES)
    assert torch.allclose(grey(images), again.eval()(images.repeat(1, 3, 1, 1)), atol=1e-5)


def test_position_embeddings_are_interpolated(tmp_path):
    donor, model = (build("vit_tiny_patch16_224", image_size=size) for size in (64, 48))
    with torch.no_grad():
        donor.pos_embed.copy_(torch.ones_like(donor.pos_embed))
    report = load_weights(model, saved(donor, tmp_path / "vit.safetensors"))
    assert report.adapted == ("pos_embed",)
    assert not report.reshaped
    assert torch.allclose(model.pos_embed, torch.ones(1, 10, 192), atol=1e-4)  # 3x3 patches and the class token


@pytest.mark.parametrize("nest", [None, "state_dict", "model_ema"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_a_training_checkpoint_of_torch_is_read(tmp_path, nest, prefix):
    donor, model = build(), build()
    state = {f"{prefix}{name}": tensor for name, tensor in donor.state_dict().items()}
    torch.save(state if nest is None else {nest: state, "epoch": 3}, tmp_path / "donor.pt")
    report = load_weights(model, tmp_path / "donor.pt")
    assert report.left == ("head.weight", "head.bias")
    assert report.numbers == report.of - 7 * 128 - 7
    assert torch.equal(model.state_dict()["blocks.0.0.weight"], donor.state_dict()["blocks.0.0.weight"])


@pytest.mark.parametrize(
    ("theirs", "here", "told"),
    [
        (FACES, FACES, ""),
        (FACES[::-1], FACES, r"it tells apart neutral, .*, angry; here they are angry, .*, neutral: head\.weight"),
        ((), FACES, r"left as initialised, since which classes it tells apart is not known: head\.weight, head\.bias"),
        (FACES, None, r"since which classes are wanted is not known"),
    ],
)
def test_a_classifier_is_copied_where_it_tells_the_same_apart_in_the_same_order(tmp_path, theirs, here, told):
    donor, model = build(), build()
    report = load_weights(model, saved(donor, tmp_path / "w.safetensors", theirs), classes=here)
    same = torch.equal(model.state_dict()["head.weight"], donor.state_dict()["head.weight"])
    assert same == (not told) == (not report.left)
    assert re.search(told, str(report))
    assert ("its classifier" in str(report)) == bool(told)


def test_the_classes_of_an_older_run_are_found_in_its_folder(tmp_path):
    file = saved(build(), tmp_path / "run/refit/cnn_simpler-0a1b/seed_0/best.safetensors")
    (tmp_path / "run/search.yaml").write_text("objectives: [val_accuracy]\n")
    (tmp_path / "run/dataset.json").write_text(json.dumps({"classes": FACES}))
    assert not load_weights(build(), file, classes=FACES).left
    assert load_weights(build(), file, classes=FACES[::-1]).left


class Unsafe:
    def __reduce__(self):
        return print, ("code in a checkpoint ran",)


def test_files_that_are_no_weights(tmp_path, capsys):
    (tmp_path / "broken.pt").write_bytes(b"not weights")
    torch.save({"state_dict": Unsafe()}, tmp_path / "unsafe.pt")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    save_file({"other": torch.zeros(3), "head.bias": torch.zeros(7)}, tmp_path / "other.safetensors")
    for name, told in {
        "broken.pt": "cannot be read as weights",
        "unsafe.pt": r"holds pickled objects, not tensors alone: it needs builtins\.print",
        "none.pt": "holds no state dict",
        "absent.pt": "no such weights file",
        "other.safetensors": "no weight in it fits this backbone in name and shape",  # its bias fits by chance
    }.items():
        with pytest.raises(UserError, match=rf"{name}: {told}"):
            load_weights(build(), tmp_path / name)
    assert capsys.readouterr().out == ""


def test_the_factory_starts_from_a_file(tmp_path):
    donor = build()
    file = saved(donor, tmp_path / "donor.safetensors", FACES)
    shape = {"num_classes": 7, "in_chans": 1}
    model = create_model("cnn_simpler", **shape, weights=file, pretrained=True, classes=FACES)  # the file wins
    assert all(torch.equal(value, donor.state_dict()[name]) for name, value in model.state_dict().items())


def run_folder(path: Path, trials: dict[str, tuple[str, float]]) -> Path:
    """A run folder with the best weights of each trial, and what it goes on from: id -> backbone, accuracy."""
    path.mkdir()
    (path / "search.yaml").write_text("objectives: [val_accuracy]\n")
    for name in trials:
        for file in ("best.safetensors", "state/epoch_0002/best.safetensors"):
            saved(build(), path / "tune" / name / file)
    rows = [{"trial_id": n, "backbone": b, "val_accuracy": a} for n, (b, a) in trials.items()]
    write_table(rows, TRIAL_COLUMNS, path / "trials.parquet")
    return path


def test_a_run_folder_stands_for_its_best_trial_and_then_for_its_best_refit(tmp_path):
    run = run_folder(tmp_path / "run", {"a": ("cnn_simpler", 0.5), "b": ("cnn_simpler", 0.6), "c": ("resnet18", 0.7)})
    assert find_weights(run, "cnn_simpler") == run / "tune/b/best.safetensors"
    assert find_weights(run, "vgg16_gap") == run / "tune/c/best.safetensors"
    for seed, accuracy in enumerate((0.61, 0.64, float("nan"))):
        folder = run / f"refit/cnn_simpler-0a1b/seed_{seed}"
        file = saved(build(), folder / "best.safetensors")
        (folder / "result.json").write_text(json.dumps({"config_id": "cnn_simpler-0a1b", "val_accuracy": accuracy}))
    assert find_weights(run, "cnn_simpler") == file.parents[1] / "seed_1/best.safetensors"
    assert load_weights(build(), run, "cnn_simpler").file == find_weights(run, "cnn_simpler")


def test_a_damaged_run_is_told_and_a_damaged_refit_passed_over(tmp_path):
    run = run_folder(tmp_path / "run", {"a": ("cnn_simpler", 0.5)})
    saved(build(), run / "refit/cnn_simpler-0a1b/seed_0/best.safetensors")
    (run / "refit/cnn_simpler-0a1b/seed_0/result.json").write_text('{"config_id":')
    assert find_weights(run, "cnn_simpler") == run / "tune/a/best.safetensors"
    (run / "trials.parquet").write_text("half")
    with pytest.raises(UserError, match=r"its trials\.parquet is damaged .*`fer-tune resume` writes it anew"):
        find_weights(run)
    (run / "search.yaml").write_text("name: run\n")
    with pytest.raises(UserError, match=r"its search\.yaml is damaged and does not say by what trials are judged"):
        find_weights(run)


def test_a_checkpoint_folder_and_its_state_stand_for_its_best_weights(tmp_path):
    best = saved(build(), tmp_path / "best.safetensors")
    torch.save({"epoch": 1}, tmp_path / "state.pt")
    assert find_weights(tmp_path) == find_weights(tmp_path / "state.pt") == best


def test_folders_without_weights_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no weights here: neither best\.safetensors, nor a run folder"):
        find_weights(tmp_path)
    with pytest.raises(UserError, match="without weights of a trial"):
        find_weights(run_folder(tmp_path / "run", {}))
