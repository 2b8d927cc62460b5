"""Searches, for real: Ray Tune, Ray Train in its local mode, Optuna, ASHA, W&B offline, on tiny drawn data."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from drawing import tiny_dataset
from optuna.trial import TrialState

import fer_tune.search.running.engine as engine
from fer_tune.config import FIELDS, trial_config
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.run_folder import EPOCH_COLUMNS, TRIAL_COLUMNS, RunFolder
from fer_tune.search.options import ResumeOptions, SearchOptions
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.proposing.studies import open_studies
from fer_tune.search.running.engine import resume, search
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.training.evaluation import load_model, predict

SMALL = """
backbone: {backbone}
search:
  learning_rate: {{log_uniform: [1e-4, 3e-2]}}
  augmentation: {{uniform: [0.0, 0.5]}}
fixed: {{batch_size: 35}}
published:
  - name: paper/{backbone}
    source: a paper
    dataset: tiny
    config: {{learning_rate: 1e-3, augmentation: 0.0, optimizer: adam, schedule: constant}}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path, n_train=140, n_val=70, n_test=14)
    return path


@pytest.fixture(scope="module")
def spaces(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("spaces")
    for backbone in ("cnn_residual", "cnn_baseline"):
        (folder / f"{backbone}.yaml").write_text(SMALL.format(backbone=backbone))
    return [str(file) for file in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def run(ray_local, data, spaces, tmp_path_factory) -> RunFolder:
    ended = search(
        SearchOptions(
            data=data,
            backbones=["cnn_residual", "cnn_baseline"],
            trials=4,
            epochs=3,
            name="two",
            storage=tmp_path_factory.mktemp("runs"),
            spaces=spaces,
            reduction_factor=2,
            grace_period=1,
            seed=7,
            checkpoint_every=0.0,
        )
    )
    assert ended.finished
    assert not ended.interrupted
    return ended.run


def rows(run: RunFolder):
    return pq.read_table(run.trials_file).to_pylist(), pq.read_table(run.epochs_file).to_pylist()


def test_every_trial_has_a_row_and_every_epoch_too(run):
    trials, epochs = rows(run)
    assert len(trials) == 8
    assert {row["status"] for row in trials} <= {"completed", "stopped"}
    assert pq.read_schema(run.trials_file).names[: len(TRIAL_COLUMNS)] == list(TRIAL_COLUMNS)
    assert pq.read_schema(run.epochs_file).names == list(EPOCH_COLUMNS)
    for row in trials:
        own = [epoch for epoch in epochs if epoch["trial_id"] == row["trial_id"]]
        assert [epoch["epoch"] for epoch in own] == list(range(1, row["epochs"] + 1))
        assert row["val_accuracy"] == max(epoch["val_accuracy"] for epoch in own)
        assert (row["status"] == "completed") == (row["epochs"] == 3)
    assert any(row["epochs"] == 3 for row in trials)


def test_published_configurations_are_run_as_published(run):
    trials, _ = rows(run)
    for backbone in ("cnn_residual", "cnn_baseline"):
        (row,) = [row for row in trials if row["origin"] == f"paper/{backbone}"]
        assert (row["config.learning_rate"], row["config.optimizer"], row["config.schedule"]) == (
            1e-3,
            "adam",
            "constant",
        )


def test_a_row_holds_the_whole_configuration(run):
    trials, _ = rows(run)
    for row in trials:
        values = {name: row.get(f"config.{name}") for name in FIELDS}
        config = trial_config({name: value for name, value in values.items() if value is not None})
        assert config.backbone == row["backbone"]
        assert config.epochs == 3
        assert config.seed == 7


def test_the_studies_say_the_same_as_the_tables(run):
    trials, _ = rows(run)
    for backbone, study in open_studies(run.study_file, ["cnn_residual", "cnn_baseline"], 0).items():
        by_id = {trial.user_attrs["trial_id"]: trial for trial in study.trials}
        own = [row for row in trials if row["backbone"] == backbone]
        assert set(by_id) == {row["trial_id"] for row in own}
        for row in own:
            trial = by_id[row["trial_id"]]
            assert trial.state == (TrialState.COMPLETE if row["status"] == "completed" else TrialState.PRUNED)
            assert max(trial.intermediate_values.values()) == pytest.approx(row["val_accuracy"])
            assert len(trial.intermediate_values) == row["epochs"]


def test_search_yaml_says_what_was_asked_and_what_was_chosen(run, data):
    settings = run.settings()
    card = PreparedDataset.open(data).card
    assert settings.dataset.content_hash == card.content_hash
    assert (settings.trials, settings.epochs, settings.seed, settings.reduction_factor) == (4, 3, 7, 2)
    assert settings.wandb == "offline"
    assert settings.concurrent == 2
    assert settings.versions["ray"].startswith("2.")
    assert list(settings.spaces) == ["cnn_residual", "cnn_baseline"]
    assert yaml.safe_load(run.settings_file.read_text())["published"]["cnn_baseline"][0]["name"] == "paper/cnn_baseline"


def test_stopped_and_finished_trials_keep_the_weights_of_their_best_epoch_and_nothing_large_beside(run, data):
    trials, _ = rows(run)
    assert {row["status"] for row in trials} == {"completed", "stopped"}
    opened = PreparedDataset.open(data)
    for row in trials:
        folder = run.tune / row["trial_id"]
        config = {name.removeprefix("config."): value for name, value in row.items() if name.startswith("config.")}
        config = {name: value for name, value in config.items() if value is not None and name in FIELDS}
        model = load_model(trial_config(config), opened.card, folder / "best.safetensors", "cpu")
        found = predict(model, opened.val(), opened.card, "cpu").argmax(1)
        assert (found == opened.val().labels).mean() == pytest.approx(row["val_accuracy"], abs=0.02)  # other rounding
        beside = [file for file in folder.rglob("*") if file.is_file() and file.name != "best.safetensors"]
        assert sum(file.stat().st_size for file in beside) < 1000  # they note epochs


def test_each_trial_is_an_offline_wandb_run(run):
    trials, _ = rows(run)
    recorded = [str(folder) for folder in run.wandb.glob("offline-run-*")]
    for row in trials:
        assert any(row["trial_id"] in folder for folder in recorded)
    assert sum(folder.endswith("-two-search") for folder in recorded) == 1  # and so is the search


def test_trials_share_a_process_for_each_that_runs_side_by_side(run):
    """Ray's documented pattern starts processes for each trial, and takes half a minute to."""
    (state,) = run.tune.glob("experiment_state-*.json")
    processes = re.findall(r'\\?"pid\\?": (\d+)', state.read_text())
    assert len(processes) >= 8
    assert len(set(processes)) == 2


def test_a_run_that_is_over_is_resumed_without_a_new_trial(ray_local, run):
    before = rows(run)
    ended = resume(run.path)
    assert ended.finished
    assert rows(run) == before


def test_no_wandb_no_published_and_the_weights_of_an_earlier_run(ray_local, run, data, spaces, tmp_path, capfd):
    ended = search(
        SearchOptions(
            data=data,
            backbones=["cnn_residual"],
            trials=1,
            epochs=1,
            name="plain",
            storage=tmp_path,
            spaces=spaces[1:],
            wandb="disabled",
            published=False,
            concurrent=1,
            node_labels={"kind": "in(tests,other)"},
            weights=[f"cnn_residual={run.path}"],
        )
    )
    trials, _ = rows(ended.run)
    assert [row["origin"] for row in trials] == ["searched"]
    assert [row["config.weights"] for row in trials] == [str(run.path)]
    assert re.search(
        r"cnn_residual: .*/tune/.*: \d+ of \d+ tensors copied, 100\.0 % of the numbers", capfd.readouterr().err
    )
    assert not ended.run.wandb.exists()
    assert ended.run.settings().concurrent == 1
    assert ended.run.settings().node_labels == {"kind": "in(tests,other)"}


def test_labels_that_no_node_has_are_told_before_the_search(ray_local, data, tmp_path):
    options = SearchOptions(data=data, backbones=["cnn_simpler"], storage=tmp_path, node_labels={"kind": "fast"})
    with pytest.raises(
        UserError, match=r"--node-label kind=fast: Ray has no such node; its nodes' labels: .*kind=tests"
    ):
        search(options)
    assert not list(tmp_path.iterdir())


def test_runs_of_other_backbones_inform_the_sampler(ray_local, run, data, tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text(SMALL.format(backbone="cnn_simpler"))
    options = SearchOptions(
        data=data,
        backbones=["cnn_simpler"],
        trials=1,
        epochs=1,
        name="informed",
        storage=tmp_path,
        spaces=[str(file)],
        warm_start=[str(run.path)],
        published=False,
        known_good=False,
        wandb="disabled",
    )
    ended = search(options)
    settings = ended.run.settings()
    assert [(each.run, each.backbone) for each in settings.informed_by] == [
        ("two", "cnn_baseline"),
        ("two", "cnn_residual"),
    ]
    (row,), _ = rows(ended.run)
    assert row["origin"] == "searched"
    spaces = {"cnn_simpler": from_resolved(settings.spaces["cnn_simpler"])}
    drawn = {}
    for name, told in (("informed", settings.informed_by), ("not", [])):
        (tmp_path / name / "again").mkdir(parents=True)
        searcher = StudySearcher(spaces, {}, 1, 1, 0, RunFolder(tmp_path / name / "again"), informed_by=told)
        drawn[name] = searcher.suggest("a")["learning_rate"]
    assert row["config.learning_rate"] == drawn["informed"] != drawn["not"]


def test_a_target_ends_a_warm_started_search_and_resume_goes_beyond_it(ray_local, run, data, spaces, tmp_path):
    ended = search(
        SearchOptions(
            data=f"local://{data}",  # a URI: fetched into a cache, opened there by every trial
            backbones=["cnn_residual"],
            trials=3,
            epochs=2,
            name="warm",
            storage=tmp_path,
            spaces=spaces[1:],
            sampler="random",
            scheduler="none",
            concurrent=1,
            target=0.001,
            objectives=("val_macro_f1",),
            warm_start=[str(run.path)],
            warm_start_top=1,
            published=False,
            wandb="disabled",
        )
    )
    assert not ended.finished
    assert not ended.gave_up
    assert ended.reason == "the target of 0.10 % validation macro F1 is reached"
    ended = resume(ended.run.path)
    assert ended.finished
    trials, epochs = rows(ended.run)
    (study,) = open_studies(ended.run.study_file, ["cnn_residual"], 0).values()
    for row in trials:  # the table and the study go by what the search is for
        own = {epoch["epoch"]: epoch["val_macro_f1"] for epoch in epochs if epoch["trial_id"] == row["trial_id"]}
        assert row["val_macro_f1"] == max(own.values()) == own[row["best_epoch"]]
    told = {trial.user_attrs["trial_id"]: trial.value for trial in study.trials}
    assert told == {row["trial_id"]: pytest.approx(row["val_macro_f1"]) for row in trials}
    assert [row["epochs"] for row in trials] == [2, 2, 2]  # none was stopped early
    _, known = rows(run)
    best = max((row for row in known if row["backbone"] == "cnn_residual"), key=lambda row: row["val_macro_f1"])
    assert sorted(row["origin"] for row in trials) == ["searched", "searched", f"two/{best['trial_id']}"]
    (warm,) = (row for row in trials if row["origin"] != "searched")  # not always the first: two start together
    (first,) = (row for row in rows(run)[0] if row["trial_id"] == best["trial_id"])
    assert warm["config.learning_rate"] == first["config.learning_rate"]
    settings = ended.run.settings()
    assert settings.dataset.path == f"local://{data}#{settings.dataset.content_hash}"
    assert (settings.sampler, settings.scheduler, settings.target, settings.objectives) == (
        "random",
        "none",
        0.001,
        ["val_macro_f1"],
    )


FEW = """
backbone: cnn_simpler
search:
  optimizer: {choice: [adam, sgd]}
  image_size: {choice: [16, 24]}
  momentum: {choice: [0.8, 0.9], when: {optimizer: sgd}}
fixed: {batch_size: 35}
"""


def test_a_grid_under_the_median_rule_for_two_objectives_is_kept_over_a_resume(ray_local, data, tmp_path):
    (tmp_path / "few.yaml").write_text(FEW)
    ended = search(
        SearchOptions(
            data=data,
            backbones=["cnn_simpler"],
            trials=20,
            epochs=2,
            name="grid",
            storage=tmp_path,
            spaces=[str(tmp_path / "few.yaml")],
            sampler="grid",
            scheduler="median",
            objectives=("val_accuracy", "latency"),
            concurrent=1,
            target=0.001,
            published=False,
            wandb="disabled",
        )
    )
    assert not ended.finished
    ended = resume(ended.run.path)
    assert ended.finished
    settings, (trials, _) = ended.run.settings(), rows(ended.run)
    assert (settings.sampler, settings.scheduler, settings.objectives) == (
        "grid",
        "median",
        ["val_accuracy", "latency"],
    )
    assert settings.trials == len(trials) == 6  # the grid has no more
    assert settings.planned == {"cnn_simpler": 6}
    points = {(row["config.optimizer"], row["config.image_size"], row["config.momentum"]) for row in trials}
    assert len(points) == 6
    assert all(row["latency_ms"] > 0 and row["parameters"] > 1000 and row["epoch_seconds"] > 0 for row in trials)
    (study,) = open_studies(ended.run.study_file, ["cnn_simpler"], 0).values()
    completed = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    by_id = {row["trial_id"]: row for row in trials}
    for trial in completed:
        row = by_id[trial.user_attrs["trial_id"]]
        assert trial.values == [pytest.approx(row["val_accuracy"]), pytest.approx(row["latency_ms"])]
    assert len(completed) == sum(row["status"] == "completed" for row in trials) > 0


def test_cmaes_brackets_and_a_fresh_process_for_what_others_left_worn(ray_local, data, spaces, tmp_path, monkeypatch):
    own = engine.trial_setup
    monkeypatch.setattr(engine, "trial_setup", lambda settings: replace(own(settings), leftover_mib=-1e9))
    ended = search(
        SearchOptions(
            data=data,
            backbones=["cnn_residual"],
            trials=5,
            epochs=3,
            name="cmaes",
            storage=tmp_path,
            spaces=spaces[1:],
            sampler="cmaes",
            grace_period=1,
            brackets=2,
            concurrent=1,
            published=False,
            wandb="disabled",
        )
    )
    assert ended.finished
    settings = ended.run.settings()
    assert (settings.sampler, settings.brackets) == ("cmaes", 2)
    (study,) = open_studies(ended.run.study_file, ["cnn_residual"], 0).values()
    assert sum("cma:generation" in trial.system_attrs for trial in study.trials) >= 3
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in study.trials)  # none was retried
    (state,) = ended.run.tune.glob("experiment_state-*.json")
    pids = re.findall(r'\\?"pid\\?": (\d+)', state.read_text())
    assert len(set(pids)) == 2  # the third trial finds its process worn out, by the bound above, and is its last


WEIGHTS = """
backbone: cnn_simpler
search:
  learning_rate: {uniform: [1e-4, 1e-3]}
fixed: {weights: /absent.pt}
"""


def from_weights(data: Path, folder: Path) -> SearchOptions:
    (folder / "space.yaml").write_text(WEIGHTS)
    return SearchOptions(
        data=data,
        backbones=["cnn_simpler"],
        trials=2,
        epochs=1,
        concurrent=1,  # one process to start, not two
        name="broken",
        storage=folder,
        spaces=[str(folder / "space.yaml")],
        wandb="disabled",
    )


def test_weights_that_are_not_there_are_told_before_the_search(data, tmp_path):
    with pytest.raises(UserError, match=r"/absent\.pt: no such weights file"):
        search(from_weights(data, tmp_path))
    assert not (tmp_path / "broken").exists()


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (
            "search: {learning_rate: {uniform: [1e-4, 1e-3]}, weights: {choice: [/absent.pt, /other.pt]}}",
            r"/absent\.pt",
        ),
        (
            "search: {learning_rate: {uniform: [1e-4, 1e-3]}}\n"
            "published: [{name: paper/x, source: p, dataset: tiny, config: {learning_rate: 1, weights: /absent.pt}}]",
            r"/absent\.pt.*paper/x out by --no-published",
        ),
    ],
    ids=["drawn", "published"],
)
def test_weights_that_may_be_drawn_or_are_published_are_looked_for_too(data, tmp_path, space, told):
    options = from_weights(data, tmp_path)
    (tmp_path / "space.yaml").write_text(f"backbone: cnn_simpler\n{space}\n")
    with pytest.raises(UserError, match=told):
        search(options)
    assert not (tmp_path / "broken").exists()


def test_a_trial_that_cannot_be_run_is_failed_and_the_search_goes_on(ray_local, data, tmp_path, monkeypatch):
    monkeypatch.setattr("fer_tune.search.planning.plan.check_weights", lambda *_: [])  # as where a node lacks the file
    ended = search(from_weights(data, tmp_path))
    assert ended.finished
    trials, _ = rows(ended.run)
    assert {row["status"] for row in trials} == {"failed"}
    assert all("/absent.pt: no such weights file" in row["error"] for row in trials)


@pytest.mark.slow
def test_a_time_budget_ends_the_search_and_resumes_finish_it(ray_local, data, spaces, tmp_path):
    ended = search(
        SearchOptions(
            data=data,
            backbones=["cnn_residual"],
            trials=3,
            epochs=40,
            time_budget_seconds=15,
            name="short",
            storage=tmp_path,
            spaces=spaces[1:],
            grace_period=40,
            wandb="disabled",
        )
    )
    assert not ended.finished
    assert not ended.interrupted
    assert ended.reason == "the time budget is spent; --time-budget gives more"
    with pytest.raises(UserError, match="its time budget of 15 s is spent; give it more with --time-budget"):
        resume(ended.run.path)
    for attempt in range(6):  # on a busy machine processes take longer to start than the first of these budgets
        before = {row["trial_id"]: row["epochs"] for row in rows(ended.run)[0]}
        ended = resume(ended.run.path, ResumeOptions(time_budget_seconds=15 * 2**attempt))
        after, epochs = rows(ended.run)
        assert all(row["epochs"] >= before.get(row["trial_id"], 0) for row in after)  # no epoch is lost
        if ended.finished:
            break
    assert ended.finished
    assert [row["epochs"] for row in after] == [40, 40, 40]
    assert len(epochs) == 120
    settings = ended.run.settings()
    assert {"time_budget_seconds": 15} in [entry.changed for entry in settings.resumed]
    assert settings.time_budget_seconds > 15 + 10
