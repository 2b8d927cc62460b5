from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_tune.data.batching.mixing import blend, draw, on_device


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=12, height=20, width=30):
    """Images of one value each, so that shares can be read off the pixels."""
    return torch.arange(1.0, count + 1).view(-1, 1, 1, 1).expand(-1, 3, height, width).clone()


def mix(given, labels, mixup, cutmix, chance):
    """A whole batch mixed within itself: images, labels, partners' labels, and the share of the first (B,)."""
    mixing = draw(len(given), *given.shape[-2:], mixup, cutmix, chance)
    share = torch.full((len(given),), mixing.share)
    blended = blend(given, given[mixing.partner], on_device([mixing], given.device)[0])
    return blended, labels, labels[mixing.partner], share


def test_mixup_adds_images_and_labels_in_the_same_shares():
    labels = torch.arange(12)
    mixed, first, second, share = mix(images(), labels, 0.4, 0.0, generator())
    assert torch.equal(first, labels)
    assert sorted(second.tolist()) == labels.tolist()
    assert 0 < float(share[0]) < 1
    expected = (share * (first + 1) + (1 - share) * (second + 1)).view(-1, 1, 1, 1)
    assert torch.allclose(mixed, expected.expand_as(mixed))


def test_cutmix_pastes_one_rectangle_and_tells_its_exact_share():
    seen = set()
    for seed in range(40):
        mixed, first, second, share = mix(images(), torch.arange(12), 0.0, 1.0, generator(seed))
        own = mixed == (first + 1).view(-1, 1, 1, 1)
        pasted = mixed == (second + 1).view(-1, 1, 1, 1)
        assert (own | pasted).all()
        for index in range(12):
            if first[index] != second[index]:
                assert float(own[index].float().mean()) == pytest.approx(float(share[index]), abs=1e-6)
                rows, columns = np.nonzero(pasted[index, 0].numpy())
                if len(rows):
                    assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)  # a filled rectangle
        seen.add(float(share[0]))
    assert len(seen) > 20


def test_both_off_changes_nothing():
    given, labels = images(), torch.arange(12)
    mixed, first, second, share = mix(given, labels, 0.0, 0.0, generator())
    assert torch.equal(mixed, given)
    assert torch.equal(first, second)
    assert torch.equal(share, torch.ones(12))


def test_with_both_on_a_batch_takes_one_of_them_at_even_odds():
    cuts = [draw(8, 32, 32, 0.3, 0.7, generator(seed)).box is not None for seed in range(400)]
    assert 0.4 < np.mean(cuts) < 0.6
    assert all(draw(8, 32, 32, 0.0, 0.7, generator(seed)).box for seed in range(20))
    assert not any(draw(8, 32, 32, 0.3, 0.0, generator(seed)).box for seed in range(20))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_are_of_the_beta_distribution(alpha):
    shares = np.array([draw(2, 8, 8, alpha, 0.0, generator(seed)).share for seed in range(2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_a_seed_repeats_what_is_drawn():
    a, b, other = (draw(16, 9, 9, 1.0, 1.0, generator(seed)) for seed in (5, 5, 6))
    assert (a.share, a.box) == (b.share, b.box)
    assert torch.equal(a.partner, b.partner)
    assert a.share != other.share
