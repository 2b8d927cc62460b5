from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy

from fer_tune.config import TrialConfig
from fer_tune.training.learning.objective import Objective, class_weights, sampling_weights

COUNTS = np.array([400, 50, 3000])
LABELS = np.repeat([0, 1, 2], COUNTS)


def objective(**settings: Any) -> Objective:
    return Objective(TrialConfig(backbone="cnn_residual", epochs=1, **settings), COUNTS)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, generator=generator), torch.randint(0, 3, (8,), generator=generator)


def test_plain_is_cross_entropy():
    logits, labels = batch()
    assert objective()(logits, labels) == pytest.approx(float(cross_entropy(logits, labels)))
    smoothed = float(cross_entropy(logits, labels, label_smoothing=0.2))
    assert objective(label_smoothing=0.2)(logits, labels) == pytest.approx(smoothed)


def test_mixed_images_have_two_targets():
    logits, labels = batch()
    partners, share = labels.flip(0), torch.linspace(0, 1, 8)
    expected = sum(
        share[i] * cross_entropy(logits[i], labels[i]) + (1 - share[i]) * cross_entropy(logits[i], partners[i])
        for i in range(8)
    )
    assert objective()(logits, labels, partners, share) == pytest.approx(float(expected) / 8)


@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.2}, {"class_weighting": "balanced"}], ids=str)
def test_a_distribution_is_the_mean_over_the_classes_it_holds(settings):
    logits, labels = batch()
    shares = torch.tensor([0.7, 0.2, 0.1]).repeat(8, 1).scatter(1, labels[:, None], 0.5)
    shares = shares / shares.sum(1, keepdim=True)
    loss = objective(**settings)
    each = torch.stack([loss._each(logits, torch.full((8,), label)) for label in range(3)], dim=1)
    assert loss(logits, shares) == pytest.approx(float((shares * each).sum(1).mean()), rel=1e-5)
    certain = torch.nn.functional.one_hot(labels, 3).float()
    assert loss(logits, certain) == pytest.approx(float(loss(logits, labels)), rel=1e-5)
    mixed, share = loss(logits, shares, shares.flip(0), torch.full((8,), 0.25)), 0.25
    apart = share * loss._each(logits, shares) + (1 - share) * loss._each(logits, shares.flip(0))
    assert mixed == pytest.approx(float(apart.mean()), rel=1e-5)


def test_balanced_weights_are_those_of_scikit_learn():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    assert class_weights("balanced", COUNTS) == pytest.approx(expected)


def test_effective_numbers_are_milder_than_balanced_and_weigh_one_on_average():
    balanced, effective = (class_weights(kind, COUNTS) for kind in ("balanced", "effective_number"))
    assert balanced is not None
    assert effective is not None
    assert 1 < effective[1] / effective[2] < balanced[1] / balanced[2]
    assert (effective * COUNTS).sum() / COUNTS.sum() == pytest.approx(1)
    number = (1 - 0.999**COUNTS) / (1 - 0.999)  # Cui et al. 2019, equation 2
    assert effective[0] / effective[1] == pytest.approx(number[1] / number[0])


@pytest.mark.parametrize("kind", ["balanced", "effective_number"])
def test_a_rare_class_counts_more(kind):
    logits = torch.zeros(2, 3)
    rare, common = torch.tensor([1, 1]), torch.tensor([2, 2])
    weighted = objective(class_weighting=kind)
    assert weighted(logits, rare) > weighted(logits, common)
    assert objective()(logits, rare) == objective()(logits, common)


def test_a_class_without_images_weighs_nothing():
    weights = class_weights("balanced", np.array([10, 0, 10]))
    assert weights == pytest.approx([1, 0, 1])


def test_the_sampler_draws_each_class_as_often():
    weights = sampling_weights("sampler", LABELS, COUNTS)
    assert weights is not None
    drawn = LABELS[torch.multinomial(weights, 6000, replacement=True, generator=torch.Generator().manual_seed(0))]
    assert np.bincount(drawn) / 6000 == pytest.approx([1 / 3] * 3, abs=0.03)
    assert sampling_weights("balanced", LABELS, COUNTS) is None
