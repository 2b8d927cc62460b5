"""The commands refit, test and report: what each option changes. Training and models are stand-ins."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
import typer
from drawing import tiny_dataset
from fake_run import FakeRun, guesses
from typer.testing import CliRunner

import analysis.heldout.opening
import analysis.refits.training
import analysis.report.writing
import fer_tune.search.cluster.ray_session
import fer_tune.search.cluster.shared_folder
import fer_tune.training.evaluation as evaluation
from analysis import Run, load_run
from analysis.refits.training import Ending, RefitTask
from analysis.run.combinations import latest_choice
from analysis.statistics.scores import score
from fer_tune.cli import refit, report, test
from fer_tune.errors import UserError
from fer_tune.run_folder import RefitResult

app = typer.Typer()
app.command("refit")(refit.command)
app.command("test")(test.command)
app.command("report")(report.command)


@pytest.fixture
def fake(tmp_path: Path) -> FakeRun:
    card = tiny_dataset(tmp_path / "data", n_train=14, n_val=14, n_test=140)
    made = FakeRun(tmp_path / "run", dataset=tmp_path / "data", content_hash=card.content_hash, dataset_name=card.name)
    folder = made.write()
    folder.write_settings(folder.settings().model_copy(update={"wandb": "disabled", "cpus_per_trial": 2}))
    return made


class Pool:
    """Takes the place of `RayPool`; refits end at once, seed 1001 better than the others."""

    asked: tuple[Path, float, float]
    labels: Mapping[str, str]
    fail = False
    interrupt: signal.Signals | None = None
    fake: FakeRun

    def __init__(self, data: Path, cpus: float, gpus: float, labels: Mapping[str, str]) -> None:
        Pool.asked, Pool.labels = (data, cpus, gpus), labels
        self.tasks: list[RefitTask] = []

    def submit(self, task: RefitTask) -> None:
        self.tasks.append(task)

    def wait(self, seconds: float) -> list[Ending]:
        if self.interrupt:
            signal.raise_signal(self.interrupt)
        task = self.tasks.pop(0)
        if self.fail and task.seed == 1002:
            return [Ending(task, None, "RuntimeError: boom", "trace")]
        accuracy = 0.62 if task.seed == 1001 else 0.6
        if task.on == "train":
            self.fake.refit(load_run(self.fake.path).folder, task.config_id, task.seed, accuracy)
        else:
            self.fake.refit_joined(load_run(self.fake.path).folder, task.config_id, task.seed)
        result = RefitResult(
            config_id=task.config_id,
            seed=task.seed,
            status="completed",
            val_accuracy=accuracy,
            best_epoch=7,
            epochs=9,
            trained_on=task.on,
        )
        return [Ending(task, result)]

    def cancel(self) -> None:
        pass


@pytest.fixture
def pool(fake: FakeRun, monkeypatch: pytest.MonkeyPatch) -> type[Pool]:
    @contextmanager
    def no_ray(**_: Any) -> Any:
        before = signal.signal(signal.SIGTERM, rays_own)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def rays_own(*_: Any) -> None:
        raise SystemExit("ray.init sets a handler of its own")

    monkeypatch.setattr(analysis.refits.training, "RayPool", Pool)
    monkeypatch.setattr(fer_tune.search.cluster.ray_session, "ray_session", no_ray)
    monkeypatch.setattr(Pool, "fake", fake, raising=False)
    return Pool


def call(*arguments: Any, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def run(fake: FakeRun) -> Run:
    return load_run(fake.path)


def test_refit_shows_each_refit_the_table_and_the_next_command(fake: FakeRun, pool: type[Pool]) -> None:
    shown = call("refit", fake.path, "--top", 2, "--seeds", 3, "--no-published")
    assert "2 configurations × 3 seeds, 9 epochs each: 0 of 6 done" in shown
    assert "[1/6]" in shown
    assert "validation accuracy 62.0 % at epoch 7 of 9" in shown
    assert "60.7 ± 1.2" in shown
    assert f"next: fer-tune test {fake.path}" in shown
    assert [len(entry.completed) for entry in run(fake).refits] == [3, 3]


def test_refit_again_trains_nothing(fake: FakeRun, pool: type[Pool]) -> None:
    call("refit", fake.path, "--top", 1, "--seeds", 2)
    pool.asked = (Path(), 0, 0)
    assert "6 of 6 done" in call("refit", fake.path)
    assert pool.asked == (Path(), 0, 0)


def test_refit_says_that_a_plan_does_not_shrink(fake: FakeRun, pool: type[Pool]) -> None:
    assert "a plan only grows" not in call("refit", fake.path, "--top", 1, "--seeds", 2, "--published")
    assert "a plan only grows" not in call("refit", fake.path, "--seeds", 2)
    told = call("refit", fake.path, "--seeds", 1, "--no-published")
    assert "--seeds 1: 2 are planned already, and a plan only grows" in told
    assert "--no-published: " in told
    assert "ostim-2024/cnn_residual" in told


def test_refit_epochs(fake: FakeRun, pool: type[Pool]) -> None:
    call("refit", fake.path, "--top", 1, "--seeds", 1, "--epochs", 30)
    assert run(fake).refit_plan.epochs == 30


@pytest.mark.parametrize("option", [["--published"], []])
def test_refit_published_is_the_default(fake: FakeRun, pool: type[Pool], option: list[str]) -> None:
    call("refit", fake.path, "--top", 1, "--seeds", 1, *option)
    assert {entry.config.origin for entry in run(fake).refits} > {e.published.name for e in run(fake).published}


def test_refit_without_the_published_stays_so(fake: FakeRun, pool: type[Pool]) -> None:
    call("refit", fake.path, "--top", 1, "--seeds", 1, "--no-published")
    before = run(fake).refit_plan
    call("refit", fake.path)
    assert run(fake).refit_plan == before
    call("refit", fake.path, "--published")
    assert len(run(fake).refits) > len(before.configs)


def test_refit_on_train_and_val(fake: FakeRun, pool: type[Pool]) -> None:
    with pytest.raises(UserError, match="nothing is refitted yet"):
        call("refit", fake.path, "--on", "train+val")
    call("refit", fake.path, "--top", 2, "--seeds", 2)
    shown = call("refit", fake.path, "--on", "train+val")
    assert "on train and val together: 0 of" in shown
    assert "trained on train and val for 9 epochs" in shown
    assert f"next: fer-tune test {fake.path}" in shown
    assert all(len(refit.completed) == 2 for refit in run(fake).finals)
    assert {result.trained_on for refit in run(fake).finals for result in refit.results} == {"train+val"}


def test_refit_on_train_and_val_of_the_winner_alone_and_for_longer(fake: FakeRun, pool: type[Pool]) -> None:
    call("refit", fake.path, "--top", 2, "--seeds", 2)
    shown = call("refit", fake.path, "--on", "train+val", "--epochs", 18, "--no-published")
    assert "1 configuration × 2 seeds, on train and val together: 0 of 2 done" in shown
    assert run(fake).final_plan.epochs == 18


@pytest.mark.parametrize("option", [("--top", 1), ("--seeds", 1), ("--stopped", 1), ("--published-budget",)])
def test_refit_on_train_and_val_refuses_what_chooses(fake: FakeRun, pool: type[Pool], option: Any) -> None:
    with pytest.raises(UserError, match=f"leave out {option[0]}"):
        call("refit", fake.path, "--on", "train+val", *option)


def test_refit_on_what_is_no_split(fake: FakeRun, pool: type[Pool]) -> None:
    with pytest.raises(UserError, match=r"--on test: one of train, train\+val"):
        call("refit", fake.path, "--on", "test")


def test_refit_stopped(fake: FakeRun, pool: type[Pool]) -> None:
    def stopped() -> int:
        status = {row["trial_id"]: row["status"] for row in run(fake).rows}
        return sum(status[refit.config.trial_id] == "stopped" for refit in run(fake).refits)

    call("refit", fake.path, "--top", 1, "--seeds", 1)
    assert stopped() == 0
    call("refit", fake.path, "--stopped", 2)
    assert stopped() == 2


def test_refit_for_the_papers_epochs_is_priced_and_asked_for(fake: FakeRun, pool: type[Pool]) -> None:
    settings = run(fake).settings
    (entry,) = settings.published["cnn_residual"]
    longer = entry.model_copy(update={"config": {**entry.config, "epochs": 50}})
    published = {**settings.published, "cnn_residual": [longer]}
    run(fake).folder.write_settings(settings.model_copy(update={"published": published}))
    shown = call("refit", fake.path, "--top", 1, "--seeds", 2)
    assert "papers prescribe other epochs than these 9; --published-budget trains for those too" in shown
    assert "ostim-2024/cnn_residual 50: 2 refits, 100 epochs" in shown
    assert [refit.config.epochs for refit in run(fake).refits] == [None] * 3
    shown = call("refit", fake.path, "--published-budget")
    assert "for the epochs of their papers: ostim-2024/cnn_residual 50" in shown
    assert "--published-budget" not in shown
    assert [refit.config.epochs for refit in run(fake).refits if len(refit.values) == 2] == [None, None, None, 50]


def test_refit_resources(fake: FakeRun, pool: type[Pool], tmp_path: Path) -> None:
    call("refit", fake.path, "--top", 1, "--seeds", 1)
    assert pool.asked[1:] == (2, 0)  # as the search had them
    call("refit", fake.path, "--seeds", 2, "--cpus-per-trial", 0.5, "--gpus-per-trial", 0.25)
    assert pool.asked[1:] == (0.5, 0.25)


def test_refit_on_labelled_nodes(fake: FakeRun, pool: type[Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 8}, "Labels": {"kind": "fast"}}])
    monkeypatch.setattr(fer_tune.search.cluster.shared_folder, "check_shared", lambda *_: None)  # would ask that node
    call("refit", fake.path, "--top", 1, "--seeds", 1)
    assert pool.labels == {}  # as the search had them
    call("refit", fake.path, "--seeds", 2, "--node-label", "kind=fast")
    assert pool.labels == {"kind": "fast"}
    with pytest.raises(UserError, match="--node-label kind=slow: Ray has no such node"):
        call("refit", fake.path, "--seeds", 3, "--node-label", "kind=slow")


@pytest.mark.parametrize("option", [("--cpus-per-trial", 0), ("--gpus-per-trial", -1)])
def test_refit_refuses_impossible_resources_before_it_plans(fake: FakeRun, pool: type[Pool], option: Any) -> None:
    with pytest.raises(UserError, match=f"{option[0]} {float(option[1])}: should be greater than"):
        call("refit", fake.path, *option)
    assert run(fake).refit_plan is None


def test_refit_data_that_was_moved(fake: FakeRun, pool: type[Pool], tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(UserError, match="data"):
        call("refit", fake.path)
    call("refit", fake.path, "--data", tmp_path / "moved", "--top", 1, "--seeds", 1)
    assert pool.asked[0] == str(tmp_path / "moved")


def test_refit_names_failures_and_exits_with_one(fake: FakeRun, pool: type[Pool], monkeypatch) -> None:
    monkeypatch.setattr(pool, "fail", True)
    shown = call("refit", fake.path, "--top", 1, "--seeds", 2, code=1)
    assert "FAILED twice: RuntimeError: boom" in shown
    assert "error.txt" in shown
    assert f"next: fer-tune refit {fake.path}" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_refit_interrupted_says_how_to_go_on(fake: FakeRun, pool: type[Pool], monkeypatch, number: Any) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started without
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(pool, "interrupt", number)
    shown = call("refit", fake.path, "--top", 1, "--seeds", 2, code=130)
    assert f"go on with: fer-tune refit {fake.path}" in shown
    assert run(fake).refit_plan.seeds == [1001, 1002]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture
def refitted(fake: FakeRun, pool: type[Pool], monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    def predict(model: int, split: Any, card: Any, device: Any, views: str = "none") -> Any:
        return guesses(split.labels, 0.65 if views == "none" else 0.8, 7, model)

    monkeypatch.setattr(evaluation, "load_model", lambda c, card, file, dev: int(file.read_text()))
    monkeypatch.setattr(evaluation, "predict", predict)

    def quick(*arguments: Any, resamples: int, **others: Any) -> Any:
        return score(*arguments, resamples=100, **others)

    monkeypatch.setattr(analysis.heldout.opening, "score", quick)
    call("refit", fake.path, "--top", 2, "--seeds", 2)
    return fake


def test_test_prints_winner_accuracy_classes_and_next_command(refitted: FakeRun) -> None:
    shown = call("test", refitted.path)
    result = run(refitted).tests[0]
    assert f"winner: {result.config_id}" in shown
    assert f"test accuracy: {100 * result.accuracy.value:.1f} % (95 % interval" in shown
    assert all(name in shown for name in [*result.classes, "images"])  # whole, in 80 columns
    joint = [line for line in shown.splitlines() if "ensemble of the seeds" in line]
    assert len(joint) == 3  # of the image alone, and of each kind of views
    assert all(len(re.findall(r"\d+\.\d \(\d+\.\d–\d+\.\d\)", line)) == 3 for line in joint)  # of each score
    assert "…" not in shown
    assert f"next: fer-tune report {refitted.path}" in shown
    for pair in run(refitted).comparison.pairs:
        assert f"against {pair.second_origin}: {pair.words}" in shown


def test_test_with_views_and_without(refitted: FakeRun) -> None:
    shown = call("test", refitted.path)
    assert "ten crops" in shown
    assert set(run(refitted).tests[0].views) == {"flip", "ten_crop"}
    shown = call("test", refitted.path, "--again", "--no-tta")
    assert "ten crops" not in shown
    assert run(refitted).tests[0].views == {}


def test_test_chooses_how_the_models_are_used_unless_told_not_to(refitted: FakeRun) -> None:
    shown = call("test", refitted.path)
    assert "one model or several, on validation" in shown
    assert "single model, with its mirror image" in " ".join(shown.split())
    assert latest_choice(run(refitted)) is not None
    assert "one model or several" not in call("test", refitted.path, "--again", "--no-combine")
    assert latest_choice(run(refitted)) is None


def test_test_again_and_why(refitted: FakeRun) -> None:
    call("test", refitted.path)
    with pytest.raises(UserError, match="--again"):
        call("test", refitted.path)
    assert "opened 2 times" in call("test", refitted.path, "--again", "--why", "a new label list")
    assert [line["why"] for line in run(refitted).openings] == ["first reading", "a new label list"]


def test_test_under_corruptions_with_the_test_and_after_it(refitted: FakeRun) -> None:
    shown = call("test", refitted.path, "--no-tta", "--corruptions")
    assert "winner:" in shown
    assert "occlusion" in shown
    assert "Under 6 common corruptions at five strengths" in shown
    assert "…" not in shown
    assert str(run(refitted).folder.corruptions_file(run(refitted).tests[0].config_id, 1)) in shown
    call("test", refitted.path, "--again", "--no-tta")
    assert run(refitted).corruptions is None  # of the latest test
    shown = call("test", refitted.path, "--corruptions", "--why", "asked by a reviewer")  # needs no --again
    assert "winner:" not in shown
    assert run(refitted).corruptions.opening == 2
    assert len(run(refitted).openings) == 2
    assert [line["why"] for line in run(refitted).readings] == ["asked for", "asked by a reviewer"]


def test_test_on_another_dataset(refitted: FakeRun, tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "other", n_train=14, n_val=14, n_test=70, seed=4)
    with pytest.raises(UserError, match="was not tested yet"):
        call("test", refitted.path, "--on", tmp_path / "other")
    call("test", refitted.path, "--no-tta")
    shown = call("test", refitted.path, "--on", tmp_path / "other")
    assert "tested on" in shown
    assert "of 70" in shown
    assert f"tiny, read by {run(refitted).tests[0].config_id}: shared classes angry, disgust" in shown
    assert "…" not in shown
    assert run(refitted).transfers[0].images == 70
    with pytest.raises(UserError, match="--again"):
        call("test", refitted.path, "--on", tmp_path / "other")
    call("test", refitted.path, "--on", tmp_path / "other", "--again")
    assert run(refitted).transfers[0].reading == 2
    with pytest.raises(UserError, match="one at a time"):
        call("test", refitted.path, "--on", tmp_path / "other", "--corruptions")


def test_test_data_that_was_moved(refitted: FakeRun, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(UserError, match="data"):
        call("test", refitted.path)
    assert run(refitted).openings == []
    assert "winner" in call("test", refitted.path, "--data", tmp_path / "moved")


def test_report_prints_the_answer_and_its_path(refitted: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis.report.writing, "draw", lambda *_: iter(()))  # figures have tests of their own
    shown = call("report", refitted.path)
    file = refitted.path / "report" / "report.html"
    assert f"report: {file}" in shown
    assert "held-out split has not been read yet" in shown
    assert "val acc" in shown  # the leaderboard again, as the last thing a person sees
    assert file.is_file()
