"""The target of a training image that several people labelled: the majority, the distribution, or one vote."""

from __future__ import annotations

import pytest
import torch
from drawing import tiny_dataset

from fer_tune.data.batching.batches import Batches
from fer_tune.data.prepared.store import PreparedDataset

CPU = torch.device("cpu")
EPOCH = {"batch_size": 20, "strength": 0.5, "seed": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "voted"
    tiny_dataset(path, n_train=100, n_val=14, n_test=14, votes=True)
    return PreparedDataset.open(path)


def batches(data, **options):
    return Batches(data.train(), data.card, CPU, votes=torch.from_numpy(data.train().votes.astype("int64")), **options)


def test_votes_change_targets_and_neither_images_nor_labels(data):
    plain = list(Batches(data.train(), data.card, CPU).train(**EPOCH, epoch=1))
    for other in (batches(data), batches(data, draws=True)):
        for one, two in zip(plain, other.train(**EPOCH, epoch=1), strict=True):
            assert torch.equal(one.images, two.images)
            assert torch.equal(one.labels, two.labels)
            assert torch.equal(one.targets, one.labels)
            assert two.targets.shape != two.labels.shape or not torch.equal(two.targets, two.labels)


def test_a_distribution_is_the_share_of_each_class(data):
    for batch in batches(data).train(**EPOCH, epoch=1):
        rows = torch.arange(len(batch.labels))
        for step, share in enumerate((0.7, 0.2, 0.1)):
            assert torch.allclose(batch.targets[rows, (batch.labels + step) % 7], torch.tensor(share))
        assert torch.allclose(batch.targets.sum(1), torch.ones(len(rows)))


def test_draws_follow_the_votes_and_are_new_in_each_epoch(data):
    away, first = [], None
    for epoch in range(1, 31):
        targets = torch.cat([batch.targets for batch in batches(data, draws=True).train(**EPOCH, epoch=epoch)])
        labels = torch.cat([batch.labels for batch in batches(data, draws=True).train(**EPOCH, epoch=epoch)])
        away.append((targets - labels) % 7)
        again = torch.cat([batch.targets for batch in batches(data, draws=True).train(**EPOCH, epoch=epoch)])
        assert torch.equal(targets, again)
        assert first is None or not torch.equal(away[-1], first)
        first = away[0]
    shares = torch.bincount(torch.cat(away), minlength=7) / 3000
    assert shares[:3].tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.03)  # 3 standard errors of 3,000 draws
    assert shares[3:].sum() == 0


@pytest.mark.parametrize("mix", [{}, {"mixup": 0.4}], ids=str)
@pytest.mark.parametrize("draws", [False, True])
def test_targets_are_the_same_for_any_number_of_ranks(data, draws, mix):
    whole = list(batches(data, draws=draws).train(**EPOCH, epoch=2, **mix))
    ranks = [list(batches(data, draws=draws).train(**EPOCH, epoch=2, rank=rank, world=2, **mix)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        for rank in (0, 1):
            part = ranks[rank][step]
            assert torch.equal(batch.targets[rank::2], part.targets)
            assert torch.equal(batch.labels[rank::2], part.labels)
            if mix:
                assert torch.equal(batch.partners[rank::2], part.partners)
                assert sorted(map(str, batch.partners.tolist())) == sorted(map(str, batch.targets.tolist()))
