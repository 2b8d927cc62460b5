"""Published configurations for the epochs of their papers: planned, priced, and told beside the same budget."""

from __future__ import annotations

import pytest
from made_run import Made, load_seed, predict_seed

from analysis.heldout.opening import run_test
from analysis.refits.final_plan import plan_final
from analysis.refits.own_budget import price
from analysis.refits.plan import plan_refits, seed_config
from analysis.refits.selection import select_candidates, select_winner
from analysis.refits.training import pending_final_tasks, pending_tasks
from analysis.report.comparison_bars import comparison
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import standing
from analysis.report.telling.rows import compared
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json

OWN = 50


@pytest.fixture
def prescribed(made: Made) -> Made:
    """A run of 9 epochs, in which one of the two papers prescribes 50."""
    settings = made.run.settings
    entry = settings.published["cnn_residual"][0]
    other = entry.model_copy(update={"config": {**entry.config, "epochs": OWN}})
    published = {**settings.published, "cnn_residual": [other]}
    made.run.folder.write_settings(settings.model_copy(update={"published": published}))
    return made


def refit(made: Made, values: dict[str, float], *, own: bool = True) -> None:
    """Plan the refits and write how they ended: of the searched ones, the published ones, that of its own budget."""
    plan = plan_refits(made.run, top=1, seeds=3, published_budget=own)
    write_json(plan, made.run.folder.refit_file)
    for config in plan.configs:
        kind = "own" if config.epochs else "published" if config.origin in made.run.published_names else "searched"
        for place, seed in enumerate(plan.seeds):
            made.fake.refit(made.run.folder, config.config_id, seed, values[kind] + place / 100)


def test_what_the_papers_epochs_take_is_told_before(prescribed):
    run = prescribed.run
    plan = plan_refits(run, top=1, seeds=3)
    assert not any(config.epochs for config in plan.configs)
    cost = price(run, plan)
    assert cost is not None
    assert (cost.refits, cost.epochs) == (3, 3 * OWN)
    (row,) = (row for row in run.rows if row["origin"] == cost.configs[0].origin)
    assert cost.seconds is None if row["epoch_seconds"] is None else cost.seconds == 3 * OWN * row["epoch_seconds"]
    assert str(cost).startswith("ostim-2024/cnn_residual 50: 3 refits, 150 epochs")
    assert price(run, plan_refits(run, top=1, seeds=3, published_budget=True)) is None  # it is in there
    assert price(run, plan_refits(run, top=1, seeds=3, epochs=OWN)).epochs == 3 * 9  # the other paper has 9


def test_it_is_trained_for_them_beside_the_same_budget(prescribed):
    run = prescribed.run
    plan = plan_refits(run, top=1, seeds=2, published_budget=True)
    write_json(plan, run.folder.refit_file)
    (own,) = (config for config in plan.configs if config.epochs)
    (same,) = (config for config in plan.configs if own.config_id == f"{config.config_id}_{OWN}_epochs")
    epochs = {task.config_id: task.config.epochs for task in pending_tasks(run, plan)}
    assert (epochs[own.config_id], epochs[same.config_id]) == (OWN, run.settings.epochs)
    assert own.config == same.config
    assert plan_refits(prescribed.run) == plan  # as begun
    refits = {each.config.config_id: each for each in prescribed.run.refits}
    assert seed_config(prescribed.run, refits[own.config_id], plan.seeds[0]).epochs == OWN


def test_without_other_epochs_there_is_nothing_to_ask_for(made):
    with pytest.raises(UserError, match="--published-budget: no paper prescribes other epochs than the 9"):
        plan_refits(made.run, published_budget=True)


def test_it_is_compared_with_the_winner_and_cannot_be_it(prescribed):
    refit(prescribed, {"searched": 0.6, "published": 0.5, "own": 0.7})
    run = prescribed.run
    assert select_winner(run).winner.mean == pytest.approx(0.61)
    words = {
        chosen.refit.config.epochs: chosen.words for chosen in select_candidates(run) if chosen.role == "published"
    }
    assert words[OWN].endswith("for the 50 epochs of its paper")
    write_json(plan := plan_final(run), run.folder.final_file)
    stops = {task.config.epochs: task.stop_epoch for task in pending_final_tasks(prescribed.run, plan)}
    assert set(stops) == {OWN, run.settings.epochs}


def test_the_report_tells_both_numbers(prescribed):
    refit(prescribed, {"searched": 0.6, "published": 0.5, "own": 0.7})
    run = prescribed.run
    rows = [row for row in compared(run, standing(run)) if row.name == "ostim-2024/cnn_residual"]
    assert [row.refit for row in rows] == ["51.0 ± 1.0", "71.0 ± 1.0"]
    assert [row.budget.startswith("refitted for 50 epochs, as its paper has it") for row in rows] == [False, True]
    bars = {row.name.splitlines()[0]: row.value for row in comparison(run, standing(run)).rows}
    assert bars["ostim-2024/cnn_residual, its own 50 epochs"] == pytest.approx(0.71)
    run_test(run, load=load_seed, predict=predict_seed, device="cpu", resamples=50)
    run = prescribed.run
    facts = gather(run, standing(run), [])
    own = facts.answer.index("ostim-2024/cnn_residual, trained here for the 50 epochs of its paper")
    assert own < facts.answer.index("trained here at the same budget")
    assert "was chosen from 13 trials on this data, a published one is a single setting" in facts.footing
    assert "was chosen from 13 trials" in facts.versus_method
    assert not any("--published-budget" in line for line in facts.limits)
    assert [test.config_id.endswith(f"_{OWN}_epochs") for test in run.tests].count(True) == 1  # on record by itself
    assert any("its own 50 epochs" in row.name for row in comparison(run, standing(run)).rows)


def test_the_report_says_where_the_budget_was_another(prescribed):
    refit(prescribed, {"searched": 0.6, "published": 0.5}, own=False)
    run = prescribed.run
    (line,) = (line for line in gather(run, standing(run), []).limits if "--published-budget" in line)
    assert "other epochs than the 9 that their configurations had here: ostim-2024/cnn_residual 50." in line
    assert "3 refits, 150 epochs" in line
