"""What is chosen for a refit."""

from __future__ import annotations

import pytest

from analysis.refits.plan import config_id, plan_refits
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.filing.tables import write_table
from fer_tune.run_folder import TRIAL_COLUMNS


def rows(made, *trials: dict) -> None:
    shared = {
        "backbone": "cnn_residual",
        "origin": "searched",
        "status": "completed",
        "config.backbone": "cnn_residual",
    }
    filled = [{**shared, "config.epochs": 9, "config.seed": 0, **trial} for trial in trials]
    write_table(filled, TRIAL_COLUMNS, made.path / "trials.parquet")


def test_the_best_by_validation_over_all_backbones(made) -> None:
    plan = plan_refits(made.run, top=3, seeds=2, published=False)
    assert [c.trial_id for c in plan.configs] == [row["trial_id"] for row in made.run.ranked[:3]]
    assert plan.epochs == made.run.settings.epochs
    assert len(plan.seeds) == len(set(plan.seeds)) == 2


def test_defaults(made) -> None:
    plan = plan_refits(made.run)
    best = {row["trial_id"] for row in made.run.ranked[:3]}
    published = {entry.trial["trial_id"] for entry in made.run.published}
    assert {config.trial_id for config in plan.configs} == best | published
    assert len(plan.seeds) == 5


def test_stopped_trials_count_and_failed_ones_do_not(made) -> None:
    rows(
        made,
        {"trial_id": "a", "status": "stopped", "val_accuracy": 0.7, "config.learning_rate": 0.1},
        {"trial_id": "b", "status": "failed", "val_accuracy": 0.9, "config.learning_rate": 0.2},
        {"trial_id": "c", "status": "running", "val_accuracy": 0.9, "config.learning_rate": 0.3},
        {"trial_id": "d", "val_accuracy": 0.6, "config.learning_rate": 0.4},
    )
    assert [config.trial_id for config in plan_refits(made.run, top=4, seeds=1, published=False).configs] == ["a", "d"]


def test_a_configuration_that_was_tried_twice_is_taken_once(made) -> None:
    rows(
        made,
        {"trial_id": "a", "val_accuracy": 0.7, "config.learning_rate": 0.1},
        {"trial_id": "b", "val_accuracy": 0.69, "config.learning_rate": 0.1, "config.seed": 4},
        {"trial_id": "c", "val_accuracy": 0.6, "config.learning_rate": 0.2},
    )
    assert [config.trial_id for config in plan_refits(made.run, top=2, seeds=1, published=False).configs] == ["a", "c"]


def test_no_seed_of_the_search_is_used_again(made) -> None:
    first = plan_refits(made.run, top=1, seeds=2).seeds
    rows(made, {"trial_id": "a", "val_accuracy": 0.7, "config.learning_rate": 0.1, "config.seed": first[0]})
    again = plan_refits(made.run, top=1, seeds=2).seeds
    assert first[0] not in again
    assert again[0] == first[1]


def test_published_configurations_are_added_when_asked_for(made) -> None:
    plan = plan_refits(made.run, top=1, seeds=1, published=True)
    names = {entry.published.name for entry in made.run.published}
    assert names < {config.origin for config in plan.configs}
    assert "searched" in {config.origin for config in plan.configs}


def test_a_published_configuration_whose_trial_failed_or_never_ran_gets_its_chance(made) -> None:
    rows(
        made,
        {"trial_id": "a", "val_accuracy": 0.7, "config.learning_rate": 0.1},
        {
            "trial_id": "b",
            "status": "failed",
            "origin": "ostim-2024/cnn_residual",
            "config.learning_rate": 0.001,
        },
    )
    plan = plan_refits(made.run, top=1, seeds=1)
    found = {config.origin: config for config in plan.configs}
    assert set(found) == {"searched", "ostim-2024/cnn_residual", "qutub-atay-2023/cnn_baseline"}
    assert found["ostim-2024/cnn_residual"].trial_id == "b"
    assert found["ostim-2024/cnn_residual"].search_value is None
    assert found["qutub-atay-2023/cnn_baseline"].config["batch_size"] == 64
    assert found["qutub-atay-2023/cnn_baseline"].trial_id == ""
    assert plan.configs[0].origin == "searched"
    write_json(plan, made.run.folder.refit_file)
    assert made.run.refit_plan == plan  # None comes back as None


def test_stopped_trials_are_added_when_asked_for(made) -> None:
    rows(
        made,
        {"trial_id": "a", "val_accuracy": 0.7, "config.learning_rate": 0.1},
        {"trial_id": "b", "val_accuracy": 0.6, "config.learning_rate": 0.2},
        {"trial_id": "c", "status": "stopped", "val_accuracy": 0.5, "config.learning_rate": 0.3},
        {"trial_id": "d", "status": "stopped", "val_accuracy": 0.4, "config.learning_rate": 0.4},
    )
    plan = plan_refits(made.run, top=1, seeds=1, published=False, stopped=1)
    assert [config.trial_id for config in plan.configs] == ["a", "c"]


def test_a_plan_grows_and_never_shrinks(made) -> None:
    first = plan_refits(made.run, top=2, seeds=3, published=False)
    write_json(first, made.run.folder.refit_file)
    fewer = plan_refits(made.run, top=1, seeds=1)
    assert (fewer.seeds, fewer.configs, fewer.created) == (first.seeds, first.configs, first.created)
    assert plan_refits(made.run) == first
    more = plan_refits(made.run, top=3, seeds=4)
    assert more.seeds[:3] == first.seeds
    assert len(more.seeds) == 4
    assert more.configs[:2] == first.configs
    assert len(more.configs) == 3


def test_other_epochs_than_those_of_finished_refits_are_refused(made) -> None:
    write_json(plan_refits(made.run, epochs=12), made.run.folder.refit_file)
    assert plan_refits(made.run).epochs == 12
    with pytest.raises(UserError, match="trained for 12 epochs, and 20 would not compare"):
        plan_refits(made.run, epochs=20)


@pytest.mark.parametrize("option", ["top", "seeds", "epochs"])
def test_numbers_below_one_are_refused(made, option: str) -> None:
    with pytest.raises(UserError, match=f"--{option}: must be at least 1"):
        plan_refits(made.run, **{option: 0})


def test_a_search_without_a_finished_trial_says_how_to_go_on(made) -> None:
    rows(made, {"trial_id": "a", "status": "failed"})
    with pytest.raises(UserError, match="fer-tune resume"):
        plan_refits(made.run)


def test_the_name_of_a_configuration_ignores_seed_epochs_and_order() -> None:
    first = {"backbone": "hub/net", "learning_rate": 0.1, "batch_size": 32, "seed": 1, "epochs": 3}
    second = {"batch_size": 32, "learning_rate": 0.1, "momentum": None, "backbone": "hub/net"}
    assert config_id(first) == config_id(second)
    assert "/" not in config_id(first)
    assert config_id({**first, "batch_size": 64}) != config_id(first)
