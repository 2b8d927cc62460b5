"""Running refits: retries, resuming, what is left on disk. One test trains real models through Ray."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from drawing import tiny_dataset
from torch import nn

from analysis.heldout.opening import run_test
from analysis.refits.final_plan import plan_final
from analysis.refits.joined import JoinedDataset, JoinedSplit
from analysis.refits.keeping import RefitKeeper
from analysis.refits.plan import plan_refits
from analysis.refits.selection import select_winner
from analysis.refits.training import (
    Ending,
    RayPool,
    RefitTask,
    pending_final_tasks,
    pending_tasks,
    run_refits,
    train_one,
)
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.models.weights.tensors import read_tensors
from fer_tune.run_folder import METRICS, RefitResult
from fer_tune.training.keeping import checkpoint


def settled(keeper: RefitKeeper) -> None:
    """Wait until what was begun is written: its thread does one thing after the other."""
    keeper._thread.submit(int).result()


def fake_train(config: Any, data: Any, folder: Path, *, objective: Any, device: Any, on_epoch: Any, keeper: Any) -> Any:
    """Stand in for the loop: three epochs, each better, going on from the last state in ``folder``."""
    model = nn.Linear(1, 1, bias=False)
    done = (checkpoint.load(folder, model) or {"epoch": 0})["epoch"]
    history = []
    for epoch in range(1, 4):
        metrics = {**dict.fromkeys(METRICS, 0.5), "epoch": epoch, "val_accuracy": 0.1 * epoch}
        history.append(metrics)
        if epoch > done:
            nn.init.constant_(model.weight, epoch)
            keeper.keep(folder, epoch, model, dict, model, ("a", "b"), epoch == 3)
            settled(keeper)
            on_epoch(metrics, folder)
    return SimpleNamespace(
        epochs=3, best_epoch=3, best=history[2], history=history, seconds=1.0, reason="all epochs done"
    )


def weight(task: RefitTask) -> float:
    """Return the weight that the stand-ins keep: the number of its epoch."""
    return float(read_tensors(task.folder / "best.safetensors")[0]["weight"])


class ListPool:
    """Runs one task after the other, in the order of submission; ``outcomes`` says which attempts fail."""

    def __init__(self, fail: dict[str, int] | None = None) -> None:
        self.queue: deque[RefitTask] = deque()
        self.fail = dict(fail or {})
        self.tried: list[str] = []
        self.cancelled = False

    def submit(self, task: RefitTask) -> None:
        self.queue.append(task)

    def wait(self, seconds: float) -> list[Ending]:
        task = self.queue.popleft()
        self.tried.append(task.name)
        if self.fail.get(task.name, 0) > 0:
            self.fail[task.name] -= 1
            return [Ending(task, None, "RuntimeError: boom", "trace of it")]
        result = RefitResult(config_id=task.config_id, seed=task.seed, status="completed", val_accuracy=0.5)
        task.folder.mkdir(parents=True, exist_ok=True)
        write_json(result, task.folder / "result.json")
        return [Ending(task, result)]

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def tasks(made) -> list[RefitTask]:
    plan = plan_refits(made.run, top=2, seeds=2, published=False)
    write_json(plan, made.run.folder.refit_file)
    return [replace(task, checkpoint_every=0.0) for task in pending_tasks(made.run, plan)]


def ended(tasks: list[RefitTask], pool: ListPool) -> list[Ending]:
    return [ending for ending in run_refits(tasks, pool) if ending is not None]


def test_every_configuration_gets_its_first_seed_early(made, tasks) -> None:
    assert len(tasks) == 4
    assert tasks[0].seed == tasks[1].seed != tasks[2].seed
    assert tasks[0].config_id != tasks[1].config_id
    assert tasks[0].config.seed == tasks[0].seed
    assert tasks[0].config.epochs == made.run.settings.epochs


def test_all_end_and_are_on_disk(made, tasks) -> None:
    pool = ListPool()
    assert len(ended(tasks, pool)) == 4
    assert [len(refit.completed) for refit in made.run.refits] == [2, 2]
    assert not pool.cancelled
    assert pending_tasks(made.run, made.run.refit_plan) == []


def test_one_failure_is_tried_again(made, tasks) -> None:
    pool = ListPool(fail={tasks[0].name: 1})
    assert all(ending.result is not None for ending in ended(tasks, pool))
    assert pool.tried.count(tasks[0].name) == 2


def test_two_failures_are_reported_and_tried_by_the_next_command(made, tasks) -> None:
    pool = ListPool(fail={tasks[0].name: 2})
    endings = ended(tasks, pool)
    assert len(endings) == 4
    failed = [ending for ending in endings if ending.result is None]
    assert [ending.task.name for ending in failed] == [tasks[0].name]
    [result] = [result for refit in made.run.refits for result in refit.failed]
    assert (result.seed, result.error) == (tasks[0].seed, "RuntimeError: boom")
    assert "trace of it" in (tasks[0].folder / "error.txt").read_text()
    assert [task.name for task in pending_tasks(made.run, made.run.refit_plan)] == [tasks[0].name]


def test_closing_cancels_what_is_left_and_keeps_what_is_done(made, tasks) -> None:
    pool = ListPool()
    endings = run_refits(tasks, pool)
    next(endings)
    endings.close()
    assert pool.cancelled
    assert len(pending_tasks(made.run, made.run.refit_plan)) == 3


def test_one_refit_leaves_its_result_its_epochs_and_its_model(made, tasks) -> None:
    result = train_one(tasks[0], made.data, train=fake_train, device="cpu", threads=1)
    assert (result.status, result.val_accuracy, result.epochs) == ("completed", pytest.approx(0.3), 3)
    assert {file.name for file in tasks[0].folder.iterdir()} == {"result.json", "epochs.parquet", "best.safetensors"}
    assert weight(tasks[0]) == 3
    epochs = made.run.refit_epochs(tasks[0].config_id, tasks[0].seed)
    assert list(epochs["epoch"]) == [1, 2, 3]
    assert made.run.refit_result(tasks[0].config_id, tasks[0].seed) == result


def test_a_dataset_that_was_put_in_the_place_of_the_runs_trains_nothing(made, tasks, tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "anew", n_train=14, n_val=7, n_test=7, seed=9)
    with pytest.raises(UserError, match=r"anew: not the dataset of this run: .*go on with `fer-tune refit`"):
        train_one(tasks[0], tmp_path / "anew", train=fake_train, device="cpu", threads=1)
    assert made.run.refit_result(tasks[0].config_id, tasks[0].seed) is None


def test_an_interrupted_refit_goes_on(made, tasks) -> None:
    def interrupted(*args: Any, on_epoch: Any, **others: Any) -> Any:
        def stop(metrics: Any, folder: Path) -> None:
            on_epoch(metrics, folder)
            if metrics["epoch"] == 2:
                raise KeyboardInterrupt

        return fake_train(*args, on_epoch=stop, **others)

    with pytest.raises(KeyboardInterrupt):
        train_one(tasks[0], made.data, train=interrupted, device="cpu", threads=1)
    assert pq.read_metadata(tasks[0].folder / "epochs.parquet").num_rows == 2
    assert made.run.refit_result(tasks[0].config_id, tasks[0].seed) is None
    seen: list[int] = []

    def counting(*args: Any, on_epoch: Any, **others: Any) -> Any:
        return fake_train(*args, on_epoch=lambda m, f: (seen.append(m["epoch"]), on_epoch(m, f)), **others)

    train_one(tasks[0], made.data, train=counting, device="cpu", threads=1)
    assert seen == [3]
    assert not (tasks[0].folder / "state").exists()
    assert pq.read_metadata(tasks[0].folder / "epochs.parquet").num_rows == 3


def test_a_refit_is_written_down_as_often_as_its_search_asked(made) -> None:
    seldom = made.run.settings.model_copy(update={"checkpoint_every": 3600.0})
    made.run.folder.write_settings(seldom)
    plan = plan_refits(made.run, top=1, seeds=1, published=False)
    write_json(plan, made.run.folder.refit_file)
    (task,) = pending_tasks(made.run, plan)

    def interrupted(*args: Any, on_epoch: Any, **others: Any) -> Any:
        def stop(metrics: Any, folder: Path) -> None:
            on_epoch(metrics, folder)
            if metrics["epoch"] == 2:
                raise KeyboardInterrupt

        return fake_train(*args, on_epoch=stop, **others)

    for each, states in ((task, 0), (replace(task, checkpoint_every=0.0), 2)):
        with pytest.raises(KeyboardInterrupt):
            train_one(each, made.data, train=interrupted, device="cpu", threads=1)
        assert len(list(task.folder.glob("state/*/state.pt"))) == states


def test_a_diverged_refit_counts_and_is_marked(made, tasks) -> None:
    def diverging(*args: Any, **others: Any) -> Any:
        outcome = fake_train(*args, **others)
        outcome.reason = "diverged: the loss was not finite in epoch 3"
        return outcome

    result = train_one(tasks[0], made.data, train=diverging, device="cpu", threads=1)
    assert result.status == "completed"
    assert result.error == "diverged: the loss was not finite in epoch 3"


def test_real_refits_through_ray(made, ray_local) -> None:
    plan = plan_refits(made.run, top=1, seeds=2, epochs=1, published=False)
    write_json(plan, made.run.folder.refit_file)
    tasks = pending_tasks(made.run, plan)
    pool = RayPool(made.data, cpus=1, gpus=0, labels={"kind": "tests"})
    endings = ended(tasks, pool)
    assert {ending.task.seed for ending in endings} == set(plan.seeds)
    [refit] = made.run.refits
    assert len(refit.completed) == 2, [ending.error for ending in endings]
    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.training.evaluation import load_model, predict

    data = PreparedDataset.open(made.data)
    model = load_model(tasks[0].config, data.card, tasks[0].folder / "best.safetensors", "cpu")
    probabilities = predict(model, data.val(), data.card, "cpu")
    accuracy = (probabilities.argmax(1) == data.val().labels).mean()
    assert accuracy == pytest.approx(refit.completed[0].val_accuracy)


def test_a_failure_inside_ray_tells_its_cause(made, tasks, ray_local) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("no such luck")

    pool = RayPool(made.data, cpus=1, gpus=0, train=broken)
    [ending] = ended(tasks[:1], pool)
    assert ending.error == "ValueError: no such luck"
    assert "in broken" in (tasks[0].folder / "error.txt").read_text()


def test_stopping_ends_what_runs_in_ray_and_frees_its_place(made, tasks, ray_local) -> None:
    import ray

    started = made.run.folder.path / "started"

    def endless(config: Any, data: Any, folder: Path, **_: Any) -> Any:
        started.touch()
        while True:
            time.sleep(0.1)

    endings = run_refits(tasks, RayPool(made.data, cpus=1, gpus=0, train=endless), poll_seconds=0.2)
    deadline = time.monotonic() + 120
    while not started.exists():
        next(endings)
        assert time.monotonic() < deadline
    endings.close()
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len(pending_tasks(made.run, made.run.refit_plan)) == len(tasks)


def test_refits_wait_for_a_node_with_their_labels(made, tasks, ray_local) -> None:
    pool = RayPool(
        made.data, cpus=1, gpus=0, train=fake_train, labels={"kind": "!tests"}
    )  # this machine has kind=tests
    pool.submit(tasks[0])
    assert pool.wait(3) == []
    pool.cancel()


@pytest.mark.parametrize(("cpus", "gpus", "option"), [(64, 0, "--cpus-per-trial"), (1, 1, "--gpus-per-trial")])
def test_more_than_there_is_is_refused_at_once(made, ray_local, cpus: float, gpus: float, option: str) -> None:
    with pytest.raises(UserError, match=option):
        RayPool(made.data, cpus, gpus)


@pytest.fixture
def final_tasks(made) -> list[RefitTask]:
    made.refit([[0.6, 0.61, 0.62], [0.5, 0.5, 0.5], [0.4, 0.4, 0.4]], published=2)
    plan = plan_final(made.run)
    write_json(plan, made.run.folder.final_file)
    return [replace(task, checkpoint_every=0.0) for task in pending_final_tasks(made.run, plan)]


def test_the_winner_and_its_rivals_are_trained_again_for_an_epoch_fixed_by_their_seeds(made, monkeypatch) -> None:
    made.refit([[0.6, 0.61, 0.62], [0.5, 0.5, 0.5], [0.4, 0.4, 0.4], [0.3, 0.3, 0.3]], published=2)
    best = {0: 4, 1: 6, 2: 5}
    for refit in made.run.refits:
        for number, result in enumerate(refit.results):
            place = made.run.folder.refit_seed(result.config_id, result.seed)
            write_json(result.model_copy(update={"best_epoch": best[number]}), place / "result.json")
    plan = plan_final(made.run)
    winner = select_winner(made.run).winner.config
    published = {config.config_id for config in made.run.refit_plan.configs if config.origin != "searched"}
    assert {config.config_id for config in plan.configs} == {winner.config_id} | published
    assert {config.stop_epoch for config in plan.configs} == {5}
    assert (plan.seeds, plan.epochs) == (made.run.refit_plan.seeds, made.run.refit_plan.epochs)


def test_a_longer_last_training_stops_at_the_same_share_of_its_schedule(made) -> None:
    made.refit([[0.6, 0.61, 0.62], [0.5, 0.5, 0.5], [0.4, 0.4, 0.4]], published=2)
    first = made.run.refit_plan
    for refit in made.run.refits:
        for result in refit.results:
            place = made.run.folder.refit_seed(result.config_id, result.seed)
            write_json(result.model_copy(update={"best_epoch": first.epochs - 1}), place / "result.json")
    longer = 3 * first.epochs
    plan = plan_final(made.run, epochs=longer, published=False)
    winner = select_winner(made.run).winner.config
    assert [(config.config_id, config.stop_epoch) for config in plan.configs] == [(winner.config_id, longer - 3)]
    write_json(plan, made.run.folder.final_file)
    assert {task.config.epochs for task in pending_final_tasks(made.run, plan)} == {longer}
    assert plan_final(made.run) == plan  # as begun
    assert len(plan_final(made.run, published=True).configs) == 3
    with pytest.raises(UserError, match=f"--epochs: .* schedules of {longer} epochs"):
        plan_final(made.run, epochs=longer + 1)
    with pytest.raises(UserError, match="--epochs: must be at least 1"):
        plan_final(made.run, epochs=0)


def joined_train(seen: list[int]) -> Any:
    def train(config: Any, data: Any, folder: Path, *, device: Any, on_epoch: Any, keeper: Any) -> Any:
        seen.append(len(data.train()))
        assert config.early_stopping is None
        model, chosen = nn.Linear(1, 1, bias=False), nn.Linear(1, 1)  # the latter by images that were trained on
        done = (checkpoint.load(folder, model) or {"epoch": 0})["epoch"]
        for epoch in range(done + 1, config.epochs + 1):
            seen.append(-epoch)
            nn.init.constant_(model.weight, epoch)
            keeper.keep(folder, epoch, model, dict, chosen, ("a", "b"), epoch == config.epochs)
            settled(keeper)
            on_epoch({**dict.fromkeys(METRICS, 0.5), "epoch": epoch}, folder)
        return SimpleNamespace(reason="all epochs done", epochs=config.epochs)

    return train


def test_training_on_train_and_val_stops_at_its_epoch_and_keeps_its_weights(made, final_tasks) -> None:
    task = replace(final_tasks[0], stop_epoch=4)
    seen: list[int] = []
    result = train_one(task, made.data, train=joined_train(seen), device="cpu", threads=1)
    assert seen == [70 + 35, -1, -2, -3, -4]
    assert (result.epochs, result.trained_on, result.status) == (4, "train+val", "completed")
    assert result.val_accuracy != result.val_accuracy
    assert weight(task) == 4
    assert {file.name for file in task.folder.iterdir()} == {"result.json", "epochs.parquet", "best.safetensors"}
    epochs = made.run.refit_epochs(task.config_id, task.seed, "train+val")
    assert list(epochs["epoch"]) == [1, 2, 3, 4]
    assert epochs["val_accuracy"].isna().all()
    assert epochs["train_accuracy"].notna().all()
    assert made.run.refit_result(task.config_id, task.seed) != result  # the one on train stays


def test_training_on_train_and_val_that_died_goes_on(made, final_tasks) -> None:
    task = replace(final_tasks[0], stop_epoch=4)
    seen: list[int] = []
    short = replace(task, config=task.config.model_copy(update={"epochs": 3}))
    with pytest.raises(RuntimeError, match="stopped after epoch 3 instead of 4"):
        train_one(short, made.data, train=joined_train(seen), device="cpu", threads=1)
    seen.clear()
    result = train_one(task, made.data, train=joined_train(seen), device="cpu", threads=1)
    assert seen == [70 + 35, -3, -4]
    assert (result.epochs, weight(task)) == (4, 4)


def test_the_real_loop_trains_on_both_splits(made, final_tasks) -> None:
    task = final_tasks[0]
    task = replace(task, stop_epoch=1, config=task.config.model_copy(update={"epochs": 2}))
    result = train_one(task, made.data, device="cpu", threads=1)
    assert (result.epochs, result.trained_on) == (1, "train+val")
    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.training.evaluation import load_model

    load_model(task.config, PreparedDataset.open(made.data).card, task.folder / "best.safetensors", "cpu")
    assert {file.name for file in task.folder.iterdir()} == {"result.json", "epochs.parquet", "best.safetensors"}


def test_models_on_train_and_val_are_the_ones_tested(made, final_tasks, models) -> None:
    with pytest.raises(UserError, match="models on train and val together have not ended"):
        run_test(made.run, **models)
    for task in final_tasks:
        task.folder.mkdir(parents=True)
        (task.folder / "best.safetensors").write_text(str(task.seed))
        ended = RefitResult(config_id=task.config_id, seed=task.seed, status="completed", trained_on="train+val")
        write_json(ended, task.folder / "result.json")
    used: list[str] = []

    def load(config: Any, card: Any, file: Path, device: Any) -> int:
        used.append(file.parent.parent.name)
        return models["load"](config, card, file, device)

    result = run_test(made.run, **{**models, "load": load})
    assert result.trained_on == "train+val"
    assert set(used) == {"train_val"}
    assert made.run.openings[0]["trained_on"] == "train+val"


def test_votes_of_train_and_val_are_joined(tmp_path) -> None:
    tiny_dataset(tmp_path / "voted", n_train=21, n_val=7, n_test=7, votes=True)
    voted = PreparedDataset.open(tmp_path / "voted")
    both = JoinedDataset(voted.path, voted.card).train().votes
    assert both is not None
    assert both.shape == (28, 7)
    assert (both[21:] == voted.val().votes).all()
    tiny_dataset(tmp_path / "plain", n_train=21, n_val=7, n_test=7)
    plain = PreparedDataset.open(tmp_path / "plain")
    assert JoinedDataset(plain.path, plain.card).train().votes is None
    some = JoinedSplit(voted.train(), plain.val()).votes
    assert some is not None
    assert (some[21:].argmax(1) == plain.val().labels).all()
    assert (some[21:].sum(1) == 1).all()
