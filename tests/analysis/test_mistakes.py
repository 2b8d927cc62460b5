"""Errors to look at: which images are kept, whose labels are doubtful, where a network looked."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from analysis.heldout.examples import MISTAKES, PAIRS, PER_PAIR, doubtful_labels, find_examples
from analysis.heldout.gradcam import heat
from fer_tune.data.prepared.store import PreparedDataset


def answers(predicted: np.ndarray, confidence: np.ndarray, classes: int = 3) -> np.ndarray:
    """Return (N, C) probabilities with the given answer and confidence, the rest spread evenly."""
    found = np.repeat(((1 - confidence) / (classes - 1))[:, None], classes, axis=1)
    found[np.arange(len(predicted)), predicted] = confidence
    return found


def test_the_most_confident_mistakes_come_first() -> None:
    labels = np.array([0, 0, 1, 2, 2])
    predicted = np.array([0, 1, 1, 0, 1])
    confidence = np.array([0.9, 0.6, 0.8, 0.95, 0.7])
    found = [
        e for e in find_examples(labels, answers(predicted, confidence)[None], ["a", "b", "c"]) if e.kind == "mistake"
    ]
    assert [(e.index, e.label, e.predicted) for e in found] == [(3, "c", "a"), (4, "c", "b"), (1, "a", "b")]
    assert [e.confidence for e in found] == pytest.approx([0.95, 0.7, 0.6])
    assert all(e.agreement == 1 for e in found)


def test_the_most_confused_pair_comes_first() -> None:
    labels = np.repeat([0, 1, 2], [10, 10, 10])
    predicted = labels.copy()
    predicted[:6], predicted[10:13] = 2, 0
    found = find_examples(labels, answers(predicted, np.full(30, 0.9))[None], ["a", "b", "c"])
    pairs = [(e.label, e.predicted) for e in found if e.kind == "pair"]
    assert pairs == [("a", "c")] * 6 + [("b", "a")] * 3


def test_a_label_is_doubtful_when_all_seeds_agree_and_are_as_sure_as_they_usually_are() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    predicted = np.array([0, 0, 1, 1, 1, 1])
    sure = answers(predicted, np.array([0.9, 0.9, 0.95, 0.9, 0.9, 0.9]), 2)
    unsure = answers(predicted, np.array([0.9, 0.9, 0.6, 0.9, 0.9, 0.9]), 2)
    [row] = doubtful_labels(labels, np.stack([sure, sure]), ["a", "b"]).to_dict("records")
    assert (row["index"], row["label"], row["suggested"]) == (2, "a", "b")
    assert row["p_suggested"] == pytest.approx(0.95)
    assert len(doubtful_labels(labels, np.stack([unsure, unsure]), ["a", "b"])) == 0
    other = sure.copy()
    other[2] = [0.55, 0.45]  # one seed does not agree
    assert len(doubtful_labels(labels, np.stack([sure, sure, sure, other]), ["a", "b"])) == 0


def test_the_test_keeps_the_images_themselves(tested) -> None:
    made, result = tested
    frame = pd.read_parquet(made.run.folder.test(result.config_id, 1) / "examples.parquet")
    split = PreparedDataset.open(made.data).open_test()
    kinds = frame["kind"].value_counts()
    assert kinds["mistake"] == MISTAKES
    assert PAIRS < kinds["pair"] <= PAIRS * PER_PAIR
    wrong = made.run.predictions(result.config_id)
    first = wrong.probabilities[0].argmax(-1)
    pairs = {(t, p) for t, p in zip(wrong.labels, first, strict=True) if t != p}
    names = made.card.classes
    kept = frame[frame["kind"] != "mistake"]
    assert {(names[t], names[p]) for t, p in pairs} == set(zip(kept["label"], kept["predicted"], strict=True))
    assert [first[index] for index in frame["index"]] == [names.index(name) for name in frame["predicted"]]
    for row in frame.to_dict("records"):
        kept = np.asarray(Image.open(io.BytesIO(row["image"])))
        assert (kept == split.images[row["index"]][..., 0]).all()
        assert row["source"] == split.sources[row["index"]]
        assert row["label"] == made.card.classes[split.labels[row["index"]]]
        assert row["label"] != row["predicted"]


class Corner(torch.nn.Module):
    """Says class 1 as strongly as its upper left corner is bright, and class 0 by the lower right one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 1, 1)
        self.second = torch.nn.Conv2d(1, 2, 1)
        with torch.no_grad():
            self.first.weight.fill_(1)
            self.second.weight.fill_(1)
            self.first.bias.zero_()
            self.second.bias.zero_()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.second(self.first(images))
        return torch.stack([found[:, 0, 4:, 4:].mean((1, 2)), found[:, 1, :4, :4].mean((1, 2))], 1)


def test_grad_cam_is_hot_where_the_evidence_is() -> None:
    images = torch.zeros(2, 1, 8, 8)
    images[:, :, :4, :4] = 1
    found = heat(Corner().eval(), images, np.array([1, 0]))
    assert found is not None
    assert found.shape == (2, 8, 8)
    assert found[0, :3, :3].mean() > 0.9
    assert found[0, 5:, 5:].mean() < 0.1
    assert found.min() >= 0
    assert found.max() <= 1


def test_grad_cam_leaves_the_network_as_it_was_and_knows_when_it_cannot_tell() -> None:
    model = Corner().eval()
    heat(model, torch.rand(1, 1, 8, 8), np.array([0]))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    assert heat(flat, torch.rand(1, 1, 8, 8), np.array([0])) is None
