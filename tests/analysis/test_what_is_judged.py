"""What a search is for decides all that follows it: the order of trials, refits, the winner, and what is told of it."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest
from fake_run import FakeRun
from made_run import Made, load_seed, predict_seed

from analysis.across import compare
from analysis.figures.bars import bars
from analysis.heldout.opening import run_test
from analysis.refits.plan import plan_refits
from analysis.refits.selection import select_winner
from analysis.refits.training import pending_tasks
from analysis.report.comparison_bars import comparison
from analysis.report.form.console import refit_table
from analysis.report.form.rendering import as_markdown
from analysis.report.latex import tables
from analysis.report.sections.whole import describe
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import answer, standing
from analysis.report.telling.luck import luck
from analysis.summary import facts
from analysis.trials.axes import points
from fer_tune.cli.parts.leaderboard import print_leaderboard
from fer_tune.filing.files import write_json
from fer_tune.filing.tables import read_table, write_table
from fer_tune.models.weights.of_runs import find_weights
from fer_tune.run_folder import EPOCH_COLUMNS, TRIAL_COLUMNS, RefitResult
from fer_tune.search.watching.board import board
from fer_tune.search.watching.watched import read_snapshot


@pytest.fixture
def lossy(tmp_path, data) -> Made:
    """A search for the validation loss, in which accuracy orders the trials the other way round."""
    path, card = data
    fake = FakeRun(
        tmp_path / "run", path, card.content_hash, card.name, ("cnn_residual",), trials=12, objectives=["val_loss"]
    )
    folder = fake.write()
    for file, columns in ((folder.trials_file, TRIAL_COLUMNS), (folder.epochs_file, EPOCH_COLUMNS)):
        rows = read_table(file).to_pylist()
        for row in rows:
            if row["val_accuracy"] is not None:
                row["val_accuracy"] = 1 - row["val_accuracy"]
        write_table(rows, columns, file)
    return Made(fake, path, card)


def refit(made: Made, losses: list[list[float]], accuracies: list[list[float]]) -> Any:
    plan = plan_refits(made.run, top=len(losses), seeds=len(losses[0]), published=False)
    write_json(plan, made.run.folder.refit_file)
    for config, own, rights in zip(plan.configs, losses, accuracies, strict=True):
        for seed, loss, right in zip(plan.seeds, own, rights, strict=True):
            made.fake.refit(made.run.folder, config.config_id, seed, right)
            file = made.run.folder.refit_seed(config.config_id, seed) / "result.json"
            result = RefitResult.model_validate_json(file.read_text())
            write_json(result.model_copy(update={"val_loss": loss}), file)
    return plan


def test_trials_are_ranked_and_refitted_by_it(lossy, capsys):
    run = lossy.run
    losses = [row["val_loss"] for row in run.ranked]
    assert losses == sorted(losses)
    assert run.best_config == run.ranked[0]["config"]
    plan = refit(lossy, [[1.2, 1.1], [1.0, 0.9]], [[0.6, 0.6], [0.4, 0.4]])
    assert [config.search_value for config in plan.configs] == losses[:2]
    assert {task.objective for task in pending_tasks(run, plan.model_copy(update={"seeds": [7]}))} == {"val_loss"}
    selection = select_winner(lossy.run)
    assert selection.winner.config == plan.configs[1]  # the smaller loss, with the smaller accuracy
    assert selection.words == "best mean validation loss over seeds among 2 refitted configurations"
    assert find_weights(lossy.path).parent.parent.name == plan.configs[1].config_id
    print_leaderboard(run)
    head, first = capsys.readouterr().out.splitlines()[1:3]
    assert head.split()[3:7] == ["val", "loss", "val", "acc"]
    assert f"{losses[0]:.4f}" in first


def test_the_leaderboard_says_how_sure_the_best_is(lossy, capsys):
    print_leaderboard(lossy.run)
    *_, doubt = capsys.readouterr().out.splitlines()
    accuracy = 100 * lossy.run.ranked[0]["val_accuracy"]
    images, low, high = re.search(r"and (\d+) images: that of the first is ([\d.]+) to ([\d.]+) %", doubt).groups()
    assert int(images) == lossy.card.images("val")
    assert float(low) < accuracy < float(high)
    assert doubt.endswith(f"the best of {len(lossy.run.ranked)} trials flatters itself")


def test_what_is_shown_is_of_it(lossy):
    snapshot = read_snapshot(lossy.run.folder)
    (best,) = snapshot.best
    assert best.value == lossy.run.ranked[0]["val_loss"]
    assert f"best cnn_residual: {best.value:.4f} val loss" in "\n".join(map(str, board(snapshot).renderables))
    run = lossy.run
    for figure in (run.plot_history(), run.plot_curves(), run.plot_budget(), run.plot_slices(), run.plot_parallel()):
        labels = {axes.get_ylabel() for axes in figure.axes} | {axes.get_xlabel() for axes in figure.axes}
        assert any("loss" in label for label in labels)
        assert not any("accuracy" in label for label in labels)
    line = run.plot_history().axes[0].lines[0].get_ydata()
    assert list(line) == sorted(line, reverse=True)  # the best so far falls
    assert all(point.key == -point.value for point in points(run, "cnn_residual"))


def test_the_report_tells_it_with_its_unit(lossy):
    refit(lossy, [[1.2, 1.1], [1.0, 0.9]], [[0.6, 0.6], [0.4, 0.4]])
    run = lossy.run
    stand = standing(run)
    assert "reaches a loss of 0.950 nats on the validation images" in answer(run, stand)
    assert "nats" in luck(run, stand)
    assert dict(facts(run))[f"refitted {stand.winner.config.config_id}"] == "0.950 ± 0.071 nats, 2 seeds"
    found = gather(run, stand, [])
    assert found.refits[0]["mean"] == "0.950 ± 0.071"
    assert "validation loss in nats, best epoch of each seed" in tables(found)
    text = as_markdown(describe(found, []))
    assert "judged by: validation loss in nats" in text.replace("**", "")
    assert "One seed each, by validation loss in nats, the best first" in text
    chart = comparison(run, stand)
    assert (chart.label, chart.scale) == ("validation loss", 1.0)
    assert bars(chart.rows, chart.title, chart.label, chart.scale).axes[0].get_xlim()[1] < 10
    assert refit_table(run.refits, run.aim).title.startswith("Refits: validation loss in nats")


def test_the_headline_of_a_tested_run_opens_with_it(tmp_path, data):
    path, card = data
    fake = FakeRun(tmp_path / "run", path, card.content_hash, card.name, objectives=["val_macro_f1"])
    fake.write()
    made = Made(fake, path, card)
    made.refit([[0.6, 0.61], [0.5, 0.5], [0.4, 0.4]], published=2)
    test = run_test(made.run, load=load_seed, predict=predict_seed, device="cpu", resamples=50)
    said = answer(made.run, standing(made.run))
    assert f"has a macro F1 of {100 * test.macro_f1.value:.1f} % (95 % interval" in said
    assert f"classifies {100 * test.accuracy.value:.1f} %" in said
    assert "macro F1 from" in said or "of macro F1" in said
    other = shutil.copytree(fake.path, tmp_path / "other")
    table = compare([made.run, other]).table
    assert set(table["test_macro_f1"].dropna()) == {test.macro_f1.value}
