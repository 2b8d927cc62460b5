"""The report, at every stage of a run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from drawing import EMOTIONS
from fake_run import FakeRun
from huggingface_hub import ModelCard
from made_run import make_run
from typesetting import typeset

from analysis import load_run
from analysis.heldout.opening import run_test
from analysis.refits.final_plan import plan_final
from analysis.refits.plan import plan_refits
from analysis.report.card import model_card
from analysis.report.comparison_bars import comparison
from analysis.report.form.rendering import as_html, as_markdown
from analysis.report.latex import tables
from analysis.report.pictures import draw
from analysis.report.sections.whole import describe
from analysis.report.telling.exported import exported
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import standing
from analysis.report.writing import what_mattered, write_report
from analysis.saving import save_figure
from analysis.statistics.scores import score
from analysis.statistics.uncertainty.intervals import wilson
from analysis.trials.axes import FEWEST_OF_SURFACE, finished, points, search_axes
from analysis.trials.pareto import pareto_front
from analysis.words import kept_text, percent, span
from fer_tune.data.prepared.writer import Record, write_dataset
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.filing.tables import write_table
from fer_tune.run_folder import TRIAL_COLUMNS, Resumed

SETTINGS = {f"{kind}_{name}" for kind in ("slices", "parallel") for name in ("cnn_residual", "cnn_baseline")}
SEARCHED = {"search_history", "trial_curves", "budget", "comparison"} | SETTINGS
REFITTED = SEARCHED | {"refits", "learning_curves"}
TESTED = REFITTED | {"confusion", "per_class", "differences", "roc", "reliability", "mistakes", "confused_pairs"}


def names(written) -> set[str]:
    return {file.stem for file in written.figures}


class Tags(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def drawn(run) -> set[str]:
    """Return the names of the figures, without the time that it takes to write them."""
    return {each.name for each in draw(run, standing(run), [])}


def test_after_the_search_it_says_to_refit(made) -> None:
    text = text_of(made, "html")
    assert drawn(made.run) == SEARCHED
    assert f"fer-tune refit {made.path.parent.name}/{made.path.name}" in text
    assert "no interval can be given before it is refitted" in text
    assert "not read yet" in text


def test_a_search_that_was_interrupted_is_to_be_resumed_first(made) -> None:
    rows = [{"trial_id": "a", "backbone": "x", "origin": "searched", "status": "completed", "val_accuracy": 0.5}]
    rows.append({**rows[0], "trial_id": "b", "status": "running"})
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    assert standing(made.run).next_command == f"fer-tune resume {made.path}"


def test_a_surface_is_drawn_of_as_many_trials_as_it_takes(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path / "run", backbones=("cnn_residual",), trials=60)
    fake.write()
    run = load_run(fake.path)
    ended = finished(points(run, "cnn_residual"), *search_axes(run, "cnn_residual")[:2])
    assert len(ended) >= FEWEST_OF_SURFACE
    [contour] = [each for each in draw(run, standing(run), []) if each.name == "contour_cnn_residual"]
    assert f"smoothed over the {len(ended)} trials that ran all epochs" in contour.caption


def test_trials_that_a_panel_cannot_show_are_counted(made) -> None:
    run = made.run
    outside = [
        f"{sum(not axis.holds(point.settings.get(axis.name)) for point in own)} of {axis.name}"
        for own in [points(run, "cnn_residual")]
        for axis in search_axes(run, "cnn_residual")
    ]
    [slices] = [each for each in draw(run, standing(run), []) if each.name == "slices_cnn_residual"]
    told = [words for words in outside if not words.startswith("0 ")]
    assert ("not shown" in slices.caption) is bool(told)
    assert all(words in slices.caption for words in told)


def test_after_some_refits_it_still_says_to_refit(made) -> None:
    plan = made.refit([[0.6, 0.61]])
    (made.run.folder.refit_seed(plan.configs[0].config_id, plan.seeds[0]) / "result.json").unlink()
    text = text_of(made)
    assert f"fer-tune refit {made.path.parent.name}/{made.path.name}" in text
    assert "to do" in text


def test_after_the_refits_it_says_to_test(made) -> None:
    made.refit([[0.6, 0.61], [0.5, None]])
    text = text_of(made)
    assert drawn(made.run) == REFITTED
    assert f"fer-tune test {made.path.parent.name}/{made.path.name}" in text
    assert "the held-out split has not been read yet" in text
    assert "60.5 ± 0.7" in text
    assert "failed" in text


@pytest.fixture(scope="module")
def final(tested):
    made, result = tested
    return made.run, result, write_report(made.run)


def test_after_the_test_it_opens_with_the_answer_and_its_interval(final) -> None:
    run, result, written = final
    assert names(written) == TESTED
    accuracy = result.accuracy
    for file in (written.html, written.markdown):
        text = re.sub(r"<script.*?</script>", "", file.read_text(), flags=re.DOTALL)
        assert written.answer in text
        assert f"classifies {percent(accuracy.value)} % of the 210 held-out images" in text
        assert f"95 % interval {percent(accuracy.low)} to {percent(accuracy.high)}" in text
        for row in result.per_class:
            for estimate in (row.precision, row.recall, row.f1, row.specificity, row.auc):
                assert percent(estimate.value) in text
                assert f"{percent(estimate.low)} to {percent(estimate.high)}" in text
        for pair in run.comparison.pairs:
            assert pair.words.replace("<", "&lt;" if file is written.html else "<") in text
            assert pair.second_origin in text
        for kind in result.views.values():
            assert f"{percent(kind.accuracy.value)} ({percent(kind.accuracy.low)}" in text
        for name, estimate in result.more.items():
            assert kept_text(name, estimate.low) in text
        after = result.scaling.after["log_loss"]
        assert f"{after.value:.3f} ({after.low:.3f} to {after.high:.3f})" in text
        assert f"{result.images:,} may be wrong themselves" in text
        assert "Settings that the papers leave open" not in text  # the made-up papers leave none open
        for entry in run.published:
            assert entry.published.name in text
        assert "Next:" not in text
    first = re.sub("<[^>]*>", "", written.html.read_text().split("</h1>")[1]).strip().splitlines()
    assert first[0] == written.answer


def test_the_html_is_one_file_that_needs_no_other(final) -> None:
    tags = Tags()
    tags.feed(final[2].html.read_text())
    assert tags.open == []
    assert "link" not in {tag for tag, _ in tags.seen}
    assert not [attributes for tag, attributes in tags.seen if tag == "script" and "src" in attributes]
    for image in [attributes for tag, attributes in tags.seen if tag == "img"]:
        assert (image["src"] or "").startswith("data:image/")
        assert image["alt"]
    charts = {attributes["id"] for _, attributes in tags.seen if attributes.get("class") == "chart"}
    assert charts == {f"chart-{name}" for name in TESTED - {"mistakes", "confused_pairs"}}  # those are a gallery
    assert {"mistakes", "confused_pairs"} <= names(final[2])
    links = [attributes["href"] for tag, attributes in tags.seen if tag == "a"]
    anchors = {f"#{attributes['id']}" for tag, attributes in tags.seen if tag == "section"}
    assert set(links) == anchors
    assert final[2].html.stat().st_size < 8e6
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in tags.seen


def test_figures_are_the_same_each_time(final, tmp_path) -> None:
    run, _, written = final
    first = {file.name: file.read_bytes() for file in written.figures}
    assert {name.split(".")[1] for name in first} == {"png", "pdf"}
    for drawn in itertools.islice(draw(run, standing(run), []), 3):
        assert save_figure(drawn.figure, tmp_path / f"{drawn.name}.png") == first[f"{drawn.name}.png"]
        drawn.figure.set_layout_engine("none")
        assert save_figure(drawn.figure, tmp_path / f"{drawn.name}.pdf") == first[f"{drawn.name}.pdf"]


def test_markdown_shows_every_figure_that_is_there(final) -> None:
    markdown = final[2].markdown
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", markdown.read_text())
    assert {(markdown.parent / name).is_file() for name in shown} == {True}
    assert len(shown) == len(TESTED)


def text_of(made, kind="md") -> str:
    run = made.run
    report = describe(gather(run, standing(run), what_mattered(run)), [])
    return as_html(report) if kind == "html" else as_markdown(report)


def test_every_opening_is_counted(made, models) -> None:
    made.refit([[0.6, 0.61]])
    run_test(made.run, **models)
    assert "held-out split: read once" in text_of(made)
    run_test(made.run, again=True, why="a second look", **models)
    assert "read 2 times" in text_of(made)
    assert "a second look" in text_of(made)


def test_a_papers_figure_stands_only_beside_its_own_dataset(made) -> None:
    assert "for fer2013, not this dataset" in text_of(made)
    settings = made.run.settings
    renamed = settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"name": "FER-2013"})})
    made.run.folder.write_settings(renamed)
    assert "60.854 (test accuracy)" in text_of(made)


def test_unlike_budgets_are_said(made) -> None:
    plan = plan_refits(made.run, top=1, seeds=2, epochs=20, published=False)
    write_json(plan, made.run.folder.refit_file)
    for seed in plan.seeds:
        made.fake.refit(made.run.folder, plan.configs[0].config_id, seed, 0.6)
    text = text_of(made)
    assert "refitted for 20 epochs instead of 9" in text
    assert "chosen from 13 trials" in text  # of 16, less the published ones and those without a figure


def test_the_datasets_hygiene_is_told_or_said_to_be_unknown(made) -> None:
    assert "source: drawn by a test" in text_of(made)
    settings = made.run.settings
    moved = settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"path": "/nowhere"})})
    made.run.folder.write_settings(moved)
    assert "data hygiene: unknown here" in text_of(made)


def test_names_are_escaped(made) -> None:
    settings = made.run.settings
    made.run.folder.write_settings(settings.model_copy(update={"name": "<script>alert(1)</script>"}))
    assert "<script>alert" not in text_of(made, "html")


def test_a_search_without_a_finished_trial_has_a_report_too(made) -> None:
    for name in ("trials", "epochs"):
        (made.path / f"{name}.parquet").unlink()
    written = write_report(made.run)
    assert written.figures == []
    assert f"fer-tune resume {made.path.parent.name}/{made.path.name}" in written.html.read_text()


def test_what_papers_leave_open_is_listed_with_our_reason(made) -> None:
    settings = made.run.settings
    chosen = {"batch_size": "not given; 64 is common", "network": "the layers are not given"}
    published = {
        name: [entry.model_copy(update={"chosen": chosen}) for entry in entries]
        for name, entries in settings.published.items()
    }
    made.run.folder.write_settings(settings.model_copy(update={"published": published}))
    text = text_of(made)
    assert "| qutub-atay-2023/cnn_baseline | batch_size | 64 | not given; 64 is common |" in text
    assert "| qutub-atay-2023/cnn_baseline | network | – | the layers are not given |" in text


def test_the_report_knows_the_hygiene_of_a_dataset_that_has_moved(made, models) -> None:
    made.refit([[0.6, 0.61]])
    run_test(made.run, **models)
    settings = made.run.settings
    moved = settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"path": "/nowhere"})})
    made.run.folder.write_settings(moved)
    assert "source: drawn by a test" in text_of(made)


def test_refits_that_came_after_the_test_do_not_look_as_if_it_had_known_them(made, models) -> None:
    made.refit([[0.6, 0.61]])
    tested = run_test(made.run, **models)
    assert "choice: the only refitted configuration, 2 seeds\n" in text_of(made)
    made.refit([[0.6, 0.61], [0.5, 0.51]])
    text = text_of(made)
    assert "2 seeds; that was before the test, and it still would be chosen now" in text
    assert "have changed since the test" not in text
    made.refit([[0.6, 0.61], [0.7, 0.71]])
    text = text_of(made)
    rival = next(refit.config.config_id for refit in made.run.refits if refit.config.config_id != tested.config_id)
    assert "and another would be chosen now" in text
    assert f"since the test: {rival} now has the best mean validation accuracy, 70.5 ± 0.7 %" in text
    assert "new seeds it has 60.5 ± 0.7 %" in text  # what is told of the winner is of the tested one


def test_as_many_refits_as_before_the_test_may_choose_another(made, models) -> None:
    made.refit([[0.6, 0.61], [0.5, 0.51]])
    run_test(made.run, **models)
    made.refit([[0.6, 0.61], [0.7, 0.71]])
    text = text_of(made)
    assert "among 2 refitted configurations; that was before the test, and another would be chosen now" in text
    assert "The refits have changed since the test" in text


def test_models_on_train_and_val_are_told(made) -> None:
    made.refit([[0.6, 0.61]])
    plan = plan_final(made.run)
    write_json(plan, made.run.folder.final_file)
    assert f"Next: `fer-tune refit {made.path.parent.name}/{made.path.name} --on train+val`" in text_of(made)
    for seed in plan.seeds:
        made.fake.refit_joined(made.run.folder, plan.configs[0].config_id, seed)
    text = text_of(made)
    assert f"Next: `fer-tune test {made.path.parent.name}/{made.path.name}`" in text
    assert "on train and val together, the epoch fixed before as the median best epoch on train alone: " in text


def test_what_an_earlier_opening_alone_tested_is_shown_as_such(made, models) -> None:
    made.refit([[0.6, 0.61], [0.4, 0.4], [0.3, 0.3]], published=2)
    first = run_test(made.run, **models)
    assert ", in opening 1" not in text_of(made)
    plan = plan_final(made.run, published=False)
    write_json(plan, made.run.folder.final_file)
    for seed in plan.seeds:
        made.fake.refit_joined(made.run.folder, plan.configs[0].config_id, seed)
    run_test(made.run, again=True, why="on all images", **models)
    published = [test for test in made.run.tests if test.config_id != first.config_id]
    assert {test.opening for test in published} == {1}
    for test in published:
        shown = f"{percent(test.accuracy.value)} ({percent(test.accuracy.low)} to {percent(test.accuracy.high)})"
        assert f"{shown}, in opening 1 |" in text_of(made)


def test_published_configurations_that_were_not_refitted_are_named(made) -> None:
    made.refit([[0.6, 0.61]])
    left = [entry.published.name for entry in made.run.published]
    origins = {refit.config.origin for refit in made.run.refits}
    text = text_of(made)
    for name in left:
        assert ("Not refitted, and so not compared on the held-out split: " in text) == bool(set(left) - origins)
        assert name in text


def test_tables_for_latex_fit_a_page(final, tmp_path: Path) -> None:
    _, _, written = final
    log = typeset((written.html.parent / "tables.tex").read_text(encoding="utf-8"), tmp_path)
    assert "Overfull" not in log


def test_tables_for_latex_hold_the_figures_of_the_report(final) -> None:
    _, result, written = final
    text = (written.html.parent / "tables.tex").read_text()
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") >= 6
    accuracy = result.accuracy
    assert f"accuracy & {percent(accuracy.value)} & {percent(accuracy.low)} to {percent(accuracy.high)}" in text
    assert r"cnn\_baseline" in text
    assert "cnn_" not in text.replace(r"cnn\_", "")  # nothing is left unescaped
    for row in np.sum(result.confusion, axis=0):
        assert " & ".join(map(str, row)) in text


def test_the_model_card_tells_use_figures_and_limits(final) -> None:
    run, result, written = final
    text = (written.html.parent / "model_card.md").read_text()
    assert f"\n---\n\n# Model card: {result.config_id}\n" in text
    assert written.answer in text
    assert "Not meant to judge" in text
    assert ", ".join(result.classes) in text
    assert f"seeds {', '.join(map(str, result.seeds))}" in text
    assert f"fer-tune predict {run.folder.path.parent.name}/{run.folder.path.name} IMAGE" in text
    assert str(run.folder.path) not in text  # the card goes with the weights, to other machines
    assert "learning_rate" in text
    assert "in % unless said" in text
    for row in result.per_class:
        assert f"{percent(row.f1.value)} ({percent(row.f1.low)} to {percent(row.f1.high)})" in text
    assert text.count(f"{result.scaling.temperatures[0]:.2f}") == 1  # told once


def test_the_card_begins_with_what_the_hub_reads(final) -> None:
    _, result, written = final
    data = ModelCard.load(written.html.parent / "model_card.md").data  # which checks the model index
    assert data.pipeline_tag == "image-classification"
    assert data.model_name == result.config_id
    assert {"facial-expression-recognition", result.backbone} <= set(data.tags)
    scores = {each.metric_name.split(",")[0]: each.metric_value for each in data.eval_results}
    assert scores["accuracy"] == pytest.approx(result.accuracy.value, abs=1e-4)
    assert scores["macro F1"] == pytest.approx(result.macro_f1.value, abs=1e-4)
    assert {each.dataset_revision for each in data.eval_results} == {result.content_hash}


def test_what_is_exported_is_named_with_its_own_score(tested) -> None:
    made, result = tested
    run = made.run
    stand = standing(run)
    best = max(stand.winner.completed, key=lambda each: each.val_accuracy)
    own = result.accuracy.per_seed[result.seeds.index(best.seed)]
    told = exported(run, stand)
    assert f"{result.config_id} seed {best.seed}, trained on train: {percent(own)} % of the 210" in told
    alone = wilson(own * 210, 210)
    assert told.endswith(f"(95 % interval {percent(alone.low)} to {percent(alone.high)})")
    other = min(result.seeds)
    file = run.folder.path / "export" / "preprocessing.json"
    joint = {"config_id": result.config_id, "seed": other}
    held = {"use": "single", "about": "this one", "models": [joint], "trained_on": "train"}
    write_json(held, file)
    try:
        told = exported(run, stand)
        assert told.startswith(f"`export/` holds this one: {percent(result.accuracy.per_seed[0])} % of the 210")
        write_json(held | {"use": "ensemble"}, file)
        joint = result.ensemble.accuracy
        told = exported(run, stand)
        assert f"this one: {percent(joint.value)} %" in told
        assert f"interval {percent(joint.low)} to {percent(joint.high)}" in told
        write_json(held | {"models": [{"config_id": "another", "seed": 1}]}, file)
        assert exported(run, stand) == "`export/` holds this one: not tested itself"
    finally:
        file.unlink()
        file.parent.rmdir()


def test_one_models_score_is_for_new_people_where_people_are_kept_apart(tmp_path: Path, models) -> None:
    def split(name: str, count: int) -> Iterator[Record]:
        for place in range(count):
            image = np.full((24, 24, 1), place, np.uint8)
            yield Record(image, place % len(EMOTIONS), f"{name}/{place}", group=f"{name} {place % 10}")

    splits = {name: split(name, count) for name, count in (("train", 70), ("val", 70), ("test", 140))}
    card = write_dataset(tmp_path / "people", splits, name="people", source="drawn by a test", classes=EMOTIONS)
    made = make_run(tmp_path / "run", (tmp_path / "people", card))
    made.refit([[0.6, 0.61]])
    result = run_test(made.run, **models)
    best = result.accuracy.per_seed[1]
    own = made.run.predictions(result.config_id)
    alone = score(own.labels, own.probabilities[1:], card.classes, [2], groups=own.groups).accuracy
    told = exported(made.run, standing(made.run))
    assert told.endswith(f"{percent(best)} % of the 140 held-out images by itself (95 % interval {span(alone)})")


def test_no_folder_of_this_machine_is_named(made) -> None:
    rows = made.run.rows
    failed = next(row for row in rows if row["status"] == "failed")
    failed["error"] = f"OSError: {made.path}/tune/x: no space left"
    failed["origin"] = made.run.published[0].published.name
    settings = made.run.settings
    made.run.folder.write_settings(settings.model_copy(update={"hardware": {"memory_gib": "14", "cpus": "1"}}))
    text = text_of(made) + text_of(made, "html")
    assert str(made.path) not in text
    assert f"fer-tune refit {made.path.parent.name}/{made.path.name}" in text
    assert "14 GiB of memory, 1 CPU" in text


def test_epochs_are_those_that_were_trained(made, models) -> None:
    leave = {"epochs": "50 or 100"}
    settings = made.run.settings
    published = {
        name: [entry.model_copy(update={"chosen": leave, "config": entry.config | {"epochs": 50}}) for entry in entries]
        for name, entries in settings.published.items()
    }
    made.run.folder.write_settings(settings.model_copy(update={"published": published}))
    trained = made.run.published[0].trial["epochs"]
    assert f"| epochs | {trained} trained, 50 named |" in text_of(made)
    plan = made.refit([[0.6, 0.61]])
    file = made.run.folder.refit_seed(plan.configs[0].config_id, plan.seeds[1]) / "result.json"
    short = made.run.refit_result(plan.configs[0].config_id, plan.seeds[1]).model_copy(update={"epochs": 4})
    write_json(short, file)
    assert run_test(made.run, **models).epochs == [9, 4]
    assert "4 to 9 epochs" in model_card(gather(made.run, standing(made.run), []))


def test_figures_of_an_earlier_report_do_not_stay(made) -> None:
    for name in ("trials", "epochs"):  # nothing to draw
        (made.path / f"{name}.parquet").unlink()
    stale = made.path / "report" / "figures" / "confusion.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of another test")
    write_report(made.run)
    assert not stale.exists()


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        ("asha", "ASHA, after 1 and 3 epochs"),
        ("median", "the median rule, at each epoch from the 1st on"),
        ("none", "none: every trial was to run to its end"),
    ],
)
def test_what_was_to_stop_poor_trials_is_told(made, scheduler: str, words: str) -> None:
    made.run.folder.write_settings(made.run.settings.model_copy(update={"scheduler": scheduler}))
    text = text_of(made)
    assert f"early stopping: {words}" in text
    assert ("ASHA" in text) == (scheduler == "asha")
    assert ("best 1/3" in text) == (scheduler == "asha")


def test_a_second_objective_has_its_front_in_the_report(made) -> None:
    assert "pareto" not in drawn(made.run)
    assert "What accuracy costs" not in text_of(made)
    with pytest.raises(UserError, match="searched for validation accuracy alone"):
        made.run.plot_pareto()
    rows = pq.read_table(made.path / "trials.parquet").to_pylist()
    for number, row in enumerate(rows):
        row["parameters"] = 10_000 * (1 + number * 7 % 5)
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    objectives = ["val_accuracy", "parameters"]
    made.run.folder.write_settings(made.run.settings.model_copy(update={"objectives": objectives}))
    run = made.run
    assert "pareto" in drawn(run)
    assert run.plot_pareto().axes[0].get_xlabel() == "parameters of the network"
    front = pareto_front(run.rows, "parameters")
    assert 1 < len(front) < len(rows)
    for kind in ("md", "html"):
        begin, end = ("## What accuracy costs", "## ") if kind == "md" else ('id="what-accuracy-costs"', "</section>")
        section = text_of(made, kind).split(begin)[1].split(end)[0]
        lines = [line for line in section.splitlines() if line.startswith(("| ", "<tr><td>"))]
        lines = lines[1:] if kind == "md" else lines  # less the head
        for row, line in zip(front, lines, strict=False):
            assert row["trial_id"] in line
            assert percent(row["val_accuracy"]) in line
            assert f"{row['parameters']:,}" in line
            assert "on it" in line
        beaten = [entry for entry in run.published if entry.trial["trial_id"] not in {row["trial_id"] for row in front}]
        assert sum("beaten by" in line for line in lines) == len(beaten) == len(lines) - len(front)
    assert "chosen by validation accuracy alone" in text_of(made)
    latex = tables(gather(run, standing(run), []))
    assert r"\label{tab:pareto}" in latex
    assert f"{front[0]['parameters']:,} & on it" in latex


def bars_of(made):
    """Return the name, kind and values of each bar in the comparison of published and searched configurations."""
    chart = comparison(made.run, standing(made.run))
    return chart, {row.name.replace("\n", ", "): (row.kind, row.value, row.low, row.high) for row in chart.rows}


def test_published_and_searched_are_compared_on_validation_before_the_test(made) -> None:
    made.refit([[0.6, 0.61], [0.4, 0.42], [0.3, 0.3]], published=2)
    chart, bars = bars_of(made)
    assert chart.title.endswith("on validation")
    assert chart.caption.startswith("Validation accuracy here")
    assert bars["searched: cnn_residual, here, validation, 2 seeds"][:2] == ("searched", pytest.approx(0.605))
    assert not any("held-out" in name for name in bars)


def test_published_and_searched_are_compared_on_the_held_out_split_after_it(tested) -> None:
    made, result = tested
    chart, bars = bars_of(made)
    assert chart.title.endswith("on the held-out split")
    assert "95 % intervals" in chart.label
    assert "on the same 210 images" in chart.caption
    assert not any("validation" in name for name in bars)
    accuracy = result.accuracy
    own = bars[f"searched: {result.backbone}, here, held-out, 3 seeds"]
    assert own == ("searched", accuracy.value, accuracy.low, accuracy.high)
    beside = [test for test in made.run.tests if test.role == "published"]
    assert len(beside) == 2
    for test in beside:
        own = bars[f"{test.origin}, here, held-out, 3 seeds"]
        assert own == ("published", test.accuracy.value, test.accuracy.low, test.accuracy.high)


def test_without_a_tested_published_configuration_the_comparison_stays_on_validation(made, models) -> None:
    made.refit([[0.6, 0.61]])
    run_test(made.run, **models)
    chart, bars = bars_of(made)
    assert chart.title.endswith("on validation")
    assert not any("held-out" in name for name in bars)


def test_a_configuration_of_an_earlier_run_is_not_called_published(made, models) -> None:
    rows = pq.read_table(made.path / "trials.parquet").to_pylist()
    next(row for row in rows if row["trial_id"] == made.run.ranked[0]["trial_id"])["origin"] = "first/abc"
    write_table(rows, TRIAL_COLUMNS, made.path / "trials.parquet")
    made.refit([[0.6, 0.61], [0.4, 0.4], [0.3, 0.3]], published=2)
    run_test(made.run, **models)
    run = made.run
    assert [test.role for test in run.tests] == ["winner", "published", "published"]
    assert "taken over from an earlier search (first/abc)" in text_of(made)
    assert "taken over from an earlier search (first/abc)" in model_card(gather(run, standing(run), []))
    assert [kind for kind, *_ in bars_of(made)[1].values()] == ["published", "published", "searched"]
    stars = [drawn for drawn in run.plot_history().axes[0].collections if drawn.get_sizes()[0] == 190]
    assert sum(len(each.get_offsets()) for each in stars) == len(run.published)
    assert sum(point.published for point in points(run, "cnn_residual")) == 1


def test_what_a_resume_changed_is_told_with_its_date_and_no_place_of_this_machine(made) -> None:
    changed = {"trials": 12, "time_budget_seconds": 90.0, "retry_failed": ["a1", "b2"], "data": "/home/somebody/faces"}
    resumed = [Resumed(when="2026-03-04T05:06:07+00:00", changed=changed)]
    made.run.folder.write_settings(made.run.settings.model_copy(update={"resumed": resumed}))
    text = text_of(made)
    assert "changed on 2026-03-04: trials 12, time budget seconds 90, retry failed a1 b2, data moved" in text
    assert "/home/somebody" not in text
