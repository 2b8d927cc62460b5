"""Data-parallel training: two ranks see the batches of one, and agree with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from fer_tune.config import TrialConfig
from fer_tune.data.batching.batches import Batches
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.training.computing import kept_measurements
from fer_tune.training.computing.kept_measurements import Measured
from fer_tune.training.computing.measuring import Candidate
from fer_tune.training.computing.plan import plan_for
from fer_tune.training.evaluation import Evaluation, build_model, load_model
from fer_tune.training.loop import train

CONFIG = TrialConfig(
    backbone="cnn_residual", epochs=2, learning_rate=1e-3, batch_size=30, augmentation=0.3, optimizer="sgd", seed=5
)

FLOAT32, BF16 = Candidate("fp32", (), 2.0), Candidate("bf16", ("blocks.3.second.0",), 1.0)


def _rank(rank: int, data: str, folder: str, rendezvous: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    outcome = train(CONFIG, PreparedDataset.open(data), Path(folder), device="cpu")
    Path(f"{folder}.rank{rank}.json").write_text(json.dumps(outcome.history))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_workers_train_as_one(tiny, tmp_path):
    alone = train(CONFIG, tiny, tmp_path / "alone", device="cpu").history
    mp.spawn(_rank, (str(tiny.path), str(tmp_path / "pair"), str(tmp_path / "meet")), nprocs=2)
    first, second = (json.loads((tmp_path / f"pair.rank{rank}.json").read_text()) for rank in (0, 1))
    for ours, other, single in zip(first, second, alone, strict=True):
        for name in ("train_loss", "val_loss", "val_accuracy", "val_macro_f1", "val_macro_auc"):
            assert ours[name] == other[name]  # metrics of the whole split, the same on both ranks
        # Equal but for batch-norm statistics, which each rank takes over its own half of the batch.
        assert ours["train_loss"] == pytest.approx(single["train_loss"], rel=0.05)
        assert ours["val_loss"] == pytest.approx(single["val_loss"], rel=0.10)
    # What is recorded is what the saved weights reach: rank 0's statistics of batch norm, not each rank's own.
    best = load_model(CONFIG, tiny.card, tmp_path / "pair" / "best.safetensors", "cpu")
    batches = Batches(tiny.val(), tiny.card, torch.device("cpu"))
    again = Evaluation(best, batches, len(tiny.card.classes), CONFIG, torch.device("cpu"))()
    recorded = next(epoch for epoch in first if epoch["epoch"] == first[-1]["best_epoch"])
    assert again["val_loss"] == pytest.approx(recorded["val_loss"], rel=1e-6)


def _plan(rank: int, data: str, folder: str, rendezvous: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    kept_measurements.measured = lambda *_: Measured([FLOAT32, BF16] if rank == 0 else [FLOAT32], "a processor")
    card = PreparedDataset.open(data).card
    found = plan_for(CONFIG, build_model(CONFIG, card), card, torch.device("cpu"), steps=1000, world=2)
    Path(f"{folder}.rank{rank}.json").write_text(json.dumps(found.state()))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_workers_compute_alike(tiny, tmp_path):
    """What the first has measured holds for both."""
    mp.spawn(_plan, (str(tiny.path), str(tmp_path / "pair"), str(tmp_path / "meet")), nprocs=2)
    first, second = (json.loads((tmp_path / f"pair.rank{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert (first["precision"], first["otherwise"]) == ("bf16", list(BF16.otherwise))
