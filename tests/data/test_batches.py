from __future__ import annotations

import numpy as np
import pytest
import torch
from drawing import tiny_dataset

from fer_tune.data.batches import Batches
from fer_tune.data.store import PreparedDataset

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path, n_train=100, n_val=35, n_test=7)
    return PreparedDataset.open(path)


def collect(batches):
    parts = list(batches)
    return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])


def test_images_are_normalised_by_the_statistics_of_train(data):
    images, labels = collect(Batches(data.train(), data.card, CPU).evaluation(32))
    assert images.shape == (100, 1, 24, 24)
    assert images.dtype == torch.float32
    assert float(images.mean()) == pytest.approx(0, abs=1e-3)
    assert float(images.std()) == pytest.approx(1, abs=1e-2)
    assert labels.tolist() == data.train().labels.tolist()
    pixels = images[3, 0] * data.card.pixel_std[0] + data.card.pixel_mean[0]
    assert np.allclose(pixels.numpy() * 255, data.train().images[3, :, :, 0], atol=1e-3)


def test_an_epoch_takes_every_image_once_in_an_order_of_its_own(data):
    batches = Batches(data.train(), data.card, CPU)
    plain, _ = collect(batches.evaluation(50))
    first, _ = collect(batches.train(20, 0.0, seed=1, epoch=1))
    second, _ = collect(batches.train(20, 0.0, seed=1, epoch=2))
    again, _ = collect(batches.train(20, 0.0, seed=1, epoch=1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)

    def keys(images):
        return sorted(image.numpy().tobytes() for image in images)

    assert keys(first) == keys(second) == keys(plain)


def test_a_short_last_batch_is_left_out_and_a_small_split_is_not(data):
    batches = Batches(data.train(), data.card, CPU)
    assert [len(labels) for _, labels in batches.train(30, 0.0, 0, 1)] == [30, 30, 30]  # 10 of 30 are left
    assert [len(labels) for _, labels in batches.train(40, 0.0, 0, 1)] == [40, 40, 20]
    assert [len(labels) for _, labels in batches.train(512, 0.0, 0, 1)] == [100]


def test_ranks_share_the_batches_of_one_worker(data):
    batches = Batches(data.train(), data.card, CPU)
    whole = list(batches.train(20, 0.7, seed=4, epoch=3))
    ranks = [list(batches.train(20, 0.7, seed=4, epoch=3, rank=rank, world=2)) for rank in (0, 1)]
    for (images, labels), (left, left_labels), (right, right_labels) in zip(whole, *ranks, strict=True):
        assert torch.allclose(images[0::2], left, atol=1e-6)
        assert torch.allclose(images[1::2], right, atol=1e-6)
        assert torch.equal(labels[0::2], left_labels)
        assert torch.equal(labels[1::2], right_labels)


def test_ranks_evaluate_every_image_once(data):
    batches = Batches(data.val(), data.card, CPU)
    counts = [sum(len(labels) for _, labels in batches.evaluation(8, rank, 3)) for rank in range(3)]
    assert sum(counts) == 35
