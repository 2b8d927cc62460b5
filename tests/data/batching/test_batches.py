from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional
from drawing import tiny_dataset

from fer_tune.data.batching.batches import Batches
from fer_tune.data.prepared.store import PreparedDataset

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path, n_train=100, n_val=35, n_test=7)
    return PreparedDataset.open(path)


def collect(batches):
    parts = list(batches)
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


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
    assert [len(batch.labels) for batch in batches.train(30, 0.0, 0, 1)] == [30, 30, 30]  # 10 of 30 are left
    assert [len(batch.labels) for batch in batches.train(40, 0.0, 0, 1)] == [40, 40, 20]
    assert [len(batch.labels) for batch in batches.train(512, 0.0, 0, 1)] == [100]


def test_ranks_share_the_batches_of_one_worker(data):
    batches = Batches(data.train(), data.card, CPU)
    whole = list(batches.train(20, 0.7, seed=4, epoch=3))
    ranks = [list(batches.train(20, 0.7, seed=4, epoch=3, rank=rank, world=2)) for rank in (0, 1)]
    for (images, labels, *_), (left, left_labels, *_), (right, right_labels, *_) in zip(whole, *ranks, strict=True):
        assert torch.allclose(images[0::2], left, atol=1e-6)
        assert torch.allclose(images[1::2], right, atol=1e-6)
        assert torch.equal(labels[0::2], left_labels)
        assert torch.equal(labels[1::2], right_labels)


def test_ranks_evaluate_every_image_once(data):
    batches = Batches(data.val(), data.card, CPU)
    counts = [sum(len(labels) for _, labels in batches.evaluation(8, rank, 3)) for rank in range(3)]
    assert sum(counts) == 35


@pytest.mark.parametrize("size", [None, 24])
def test_images_of_the_size_asked_for_are_not_resampled(data, size):
    for strength in (0.0, 0.6):
        plain = list(Batches(data.train(), data.card, CPU).train(20, strength, 1, 1))
        sized = list(Batches(data.train(), data.card, CPU, size).train(20, strength, 1, 1))
        assert all(torch.equal(a, b) for (a, *_), (b, *_) in zip(plain, sized, strict=True))


@pytest.mark.parametrize("size", [12, 17, 40])
def test_images_are_resized_as_torchvision_does(data, size):
    split, card = data.val(), data.card
    images, labels = collect(Batches(split, card, CPU, size).evaluation(8))
    pixels = torch.from_numpy(split.images.copy()).permute(0, 3, 1, 2) / 255
    expected = torchvision.transforms.v2.functional.resize(pixels, [size, size], antialias=True)
    assert images.shape == (35, 1, size, size)
    assert torch.allclose(images, (expected - card.pixel_mean[0]) / card.pixel_std[0], atol=1e-5)
    assert labels.tolist() == split.labels.tolist()
    train, _ = collect(Batches(data.train(), card, CPU, size).train(20, 0.0, 1, 1))
    assert train.shape == (100, 1, size, size)


@pytest.mark.parametrize("size", [16, 36])
def test_augmented_images_are_resized_too_and_are_the_same_for_any_number_of_ranks(data, size):
    batches = Batches(data.train(), data.card, CPU, size)
    whole = list(batches.train(20, 0.5, 1, 1))
    halves = [list(batches.train(20, 0.5, 1, 1, rank, 2)) for rank in (0, 1)]
    for (images, *_), (left, *_), (right, *_) in zip(whole, *halves, strict=True):
        assert images.shape == (20, 1, size, size)
        assert torch.allclose(images[0::2], left, atol=1e-5)
        assert torch.allclose(images[1::2], right, atol=1e-5)


def test_a_share_of_one_leaves_a_batch_as_it_is(data):
    batches = Batches(data.train(), data.card, CPU)
    whole = {"share": torch.ones(()), "outside": torch.ones(()), "box": torch.zeros(4, dtype=torch.int64)}
    for drawn in batches.drawn(30, 0.5, 1, 1):
        images, labels, *_ = batches.made(drawn)
        same, first, _, second, share = batches.made(drawn._replace(partner=torch.arange(30).flip(0), **whole))
        assert torch.equal(images, same)
        assert torch.equal(labels, first)
        assert torch.equal(labels.flip(0), second)
        assert torch.equal(share, torch.ones(30))


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixed_batches_are_those_of_train_mixed_and_the_same_for_any_number_of_ranks(data, mixup, cutmix):
    batches = Batches(data.train(), data.card, CPU)
    settings = {"batch_size": 40, "strength": 0.5, "seed": 3, "epoch": 2}
    plain = list(batches.train(**settings))
    whole = list(batches.train(**settings, mixup=mixup, cutmix=cutmix))
    ranks = [list(batches.train(**settings, rank=r, world=3, mixup=mixup, cutmix=cutmix)) for r in range(3)]
    changed = 0
    for step, (images, labels, _, partners, share) in enumerate(whole):
        assert torch.equal(labels, plain[step].labels)
        assert sorted(labels.tolist()) == sorted(partners.tolist())
        changed += int((images != plain[step][0]).any())
        for rank in range(3):
            part = ranks[rank][step]
            assert torch.allclose(images[rank::3], part[0], atol=1e-5)
            for of_all, of_rank in zip(
                (labels, partners, share), (part.labels, part.partners, part.share), strict=True
            ):
                assert torch.equal(of_all[rank::3], of_rank)
    assert changed == len(whole)


@pytest.mark.gpu
def test_what_does_not_fit_on_the_accelerator_is_gathered_from_the_map(data, monkeypatch):
    device = torch.device("cuda")
    resident = Batches(data.train(), data.card, device)
    monkeypatch.setattr("fer_tune.data.batching.batches._has_room", lambda device, size: False)
    mapped = Batches(data.train(), data.card, device)
    assert (resident._images.device.type, mapped._images.device.type) == ("cuda", "cpu")
    for (a, labels, *_), (b, same, *_) in zip(resident.train(20, 0.5, 1, 1), mapped.train(20, 0.5, 1, 1), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(labels, same)


def test_images_are_drawn_as_often_as_they_are_weighted(data):
    labels = torch.from_numpy(data.train().labels)
    weights = torch.where(labels == 2, 9.0, 0.0).double() + (labels == 4).double()
    batches = Batches(data.train(), data.card, CPU, sampling=weights)
    _, drawn = collect(batches.train(20, 0.0, seed=1, epoch=1))
    assert len(drawn) == 100
    assert set(drawn.tolist()) == {2, 4}
    assert int((drawn == 2).sum()) > 75  # nine in ten by their weight
    _, again = collect(batches.train(20, 0.0, seed=1, epoch=1))
    assert torch.equal(drawn, again)
