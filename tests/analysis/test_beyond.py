"""Further readings by the tested models: under corruptions, and of another dataset's held-out split."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import EMOTIONS
from made_run import load_seed, predict_seed
from rich.console import Console

from analysis.charts import beyond as charts
from analysis.figures import beyond
from analysis.heldout.class_matching import match_classes
from analysis.heldout.corruptions import run_corruptions, summary
from analysis.heldout.opening import run_test
from analysis.heldout.transfer import run_transfer
from analysis.report.form.console import plain_table
from analysis.report.form.rendering import as_markdown
from analysis.report.sections.beyond import corruption_table, transfer_table
from analysis.report.sections.whole import describe
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import standing
from analysis.results import Estimate
from analysis.run.openings import openings_of, split_ledger
from analysis.run.split_ledger import SplitLedger
from analysis.statistics.uncertainty.means import mean_estimates
from analysis.statistics.uncertainty.sampling import Groups, Images
from analysis.words import percent
from fer_tune.data.batching.corrupting import CORRUPTIONS
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.prepared.writer import Record, write_dataset
from fer_tune.errors import UserError

MODELS: dict[str, Any] = {"load": load_seed, "device": "cpu", "resamples": 100}


@pytest.fixture
def ready(made) -> Any:
    """A run that was tested."""
    made.refit([[0.6, 0.61, 0.62]])
    run_test(made.run, predict=predict_seed, **MODELS)
    return made


def on_a_terminal(table: Any) -> list[str]:
    """Return the lines of a report's table in 80 columns."""
    console = Console(width=80, file=io.StringIO())
    console.print(plain_table(table))
    return console.file.getvalue().splitlines()


def report_of(made: Any) -> str:
    run = made.run
    return as_markdown(describe(gather(run, standing(run), []), []))


def test_corruptions_are_read_once_on_record_and_told(ready) -> None:
    calls = []

    def predict(model: int, split: Any, *options: Any, **more: Any) -> Any:
        calls.append((model, split.images.copy()))
        found = predict_seed(model, split, *options)
        clean = PreparedDataset.open(ready.data).open_test().images
        apart = np.abs(split.images.astype(int) - clean).reshape(len(clean), -1).mean(1)
        wrong = apart > 20
        found[wrong] = np.roll(found[wrong], 1, axis=1)
        return found

    found = run_corruptions(ready.run, predict=predict, **MODELS)
    assert len(calls) == 3 * (1 + 5 * len(CORRUPTIONS))
    winner = ready.run.tests[0]
    assert found.clean.value == pytest.approx(winner.accuracy.value)
    assert [each.name for each in found.each] == list(CORRUPTIONS)
    noise = next(each for each in found.each if each.name == "noise")
    assert noise.at[0].accuracy.value > noise.at[-1].accuracy.value
    assert noise.mean.value == pytest.approx(np.mean([at.accuracy.value for at in noise.at]))
    assert noise.loss.value == pytest.approx(found.clean.value - noise.mean.value)
    assert found.mean.value == pytest.approx(np.mean([each.mean.value for each in found.each]))
    assert found.loss.low < found.loss.value < found.loss.high
    assert ready.run.corruptions == found
    assert len(ready.run.openings) == 1
    [line] = ready.run.readings
    assert (line["kind"], line["what"], line["of_opening"]) == ("corruptions", winner.config_id, 1)
    assert openings_of(ready.run, split_ledger(ready.run)).faults == []
    assert "Under 6 common corruptions at five strengths" in report_of(ready)
    assert "the interval takes no account of its being picked" in report_of(ready)
    flat = Estimate(value=0.1, low=0.012, high=0.034, per_seed=[0.1])  # for a column of short ones at the end
    for shown in (
        found,
        found.model_copy(update={"each": [each.model_copy(update={"loss": flat}) for each in found.each]}),
    ):
        assert not [line for line in on_a_terminal(corruption_table(shown)) if re.search(r"\d+\.(?!\d)", line)]  # cut
    [axes] = beyond.corruptions(found).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["as it is", "1", "2", "3", "4", "5"]
    assert "darkness, strength 5 (0.3)" in charts.corruptions(found).json
    with pytest.raises(UserError, match="under corruptions already"):
        run_corruptions(ready.run, predict=predict, **MODELS)


def test_a_further_reading_that_is_not_known_everywhere_is_told(ready, monkeypatch) -> None:
    monkeypatch.setattr(SplitLedger, "append", lambda self, entry: ["beside the dataset"])
    run_corruptions(ready.run, predict=predict_seed, **MODELS)
    assert openings_of(ready.run, None).not_noted == ["beside the dataset"]


def test_an_altered_result_of_corruptions_is_found(ready) -> None:
    found = run_corruptions(ready.run, predict=predict_seed, **MODELS)
    file = ready.run.folder.corruptions_file(found.config_id, found.opening)
    file.write_text(file.read_text().replace(str(found.mean.value), "0.99"))
    assert any("corruptions.json is not what" in fault for fault in openings_of(ready.run, None).faults)


def test_corruptions_are_of_what_was_tested(made, ready) -> None:
    plan = ready.run.folder.refit_plan()
    (ready.run.folder.refit_seed(plan.configs[0].config_id, plan.seeds[0]) / "result.json").unlink()
    with pytest.raises(UserError, match="refitted anew since its test"):
        run_corruptions(ready.run, predict=predict_seed, **MODELS)
    assert ready.run.readings == []


def test_corruptions_before_the_test_are_refused(made) -> None:
    made.refit([[0.6, 0.61]])
    with pytest.raises(UserError, match=r"--corruptions: .* was not tested yet.*fer-tune test"):
        run_corruptions(made.run, predict=predict_seed, **MODELS)


def test_models_that_do_not_do_what_they_did_are_told(ready) -> None:
    def predict(model: int, split: Any, *options: Any, **more: Any) -> Any:
        return np.roll(predict_seed(model, split, *options), 1, axis=1)

    with pytest.raises(UserError, match="do not do on the images as they are what they did in the test"):
        run_corruptions(ready.run, predict=predict, **MODELS)
    assert ready.run.corruptions is None


def test_what_is_lost_is_counted_on_the_same_images() -> None:
    rng = np.random.default_rng(0)
    clean = rng.random((3, 400)) < 0.7
    right = np.repeat(np.repeat(clean[..., None, None], len(CORRUPTIONS), 2), 5, 3)
    found = summary(clean, right, Images(400, 200), 48)
    assert (found["loss"].value, found["loss"].low, found["loss"].high) == (0, 0, 0)
    assert found["mean"].low == found["clean"].low < found["clean"].value


# -- another dataset -----------------------------------------------------------------------------


CODES = {name: 20 + 30 * place for place, name in enumerate(EMOTIONS)}
"""The grey of an image that means an emotion: what `predict_grey` goes by."""


def predict_grey(model: int, split: Any, card: Any, device: Any, views: str = "none") -> Any:
    """Stand in for `predict`: reads the emotion from the grey of an image, and errs on every fifth."""
    shades = np.array(list(CODES.values()))
    answer = np.abs(split.images.reshape(len(split), -1).mean(1)[:, None] - shades).argmin(1)
    answer[(np.arange(len(answer)) + model) % 5 == 0] = 2
    return (np.eye(len(EMOTIONS))[answer] * 0.9 + 0.1 / len(EMOTIONS)).astype(np.float32)


def other_dataset(path: Path, classes: dict[str, str], *, size: int = 24, channels: int = 1, people: int = 0) -> Path:
    """Write a dataset whose classes mean emotions: name -> emotion, empty for none of them."""

    def split(name: str, count: int) -> Any:
        for number in range(count):
            label = number % len(classes)
            grey = CODES.get(list(classes.values())[label], 250)
            image = np.full((size, size, channels), grey, np.uint8)
            image[0, 0] += number % 5  # no two are the same by chance
            image[0, 1] += number // 5 % 5
            group = f"person {number % people}" if people else ""
            yield Record(image, label, f"{name}/{number}", group=f"{name} {group}" if people else "")

    records = {name: split(name, count) for name, count in (("train", 20), ("val", 20), ("test", 100))}
    write_dataset(path, records, name="Other set", source="drawn by a test", classes=list(classes))
    return path


OTHER = {"Happiness": "happy", "sadness": "sad", "anger": "angry", "contempt": ""}


def test_another_dataset_is_read_by_its_shared_classes_and_by_all(ready, tmp_path: Path) -> None:
    other = other_dataset(tmp_path / "other", OTHER)
    assert "nothing here tells how images of another origin fare" in report_of(ready)
    found = run_transfer(ready.run, other, predict=predict_grey, **MODELS)
    assert found.shared == ["angry", "happy", "sad"]
    assert found.only_trained == ["disgust", "fear", "neutral", "surprise"]
    assert found.only_tested == ["contempt"]
    assert (found.images, found.scores.images, found.known) == (100, 75, 0)
    # every fifth answer is "fear", which is none of the shared classes: the likeliest of those is a tie of all
    assert 0.75 < found.scores.accuracy.value < 0.95
    assert found.every.value == pytest.approx(0.6, abs=0.02)  # three quarters are known, four fifths of these right
    assert found.scores.classes == found.shared
    assert found.home is not None
    assert found.home.images == 90  # of the run's own 210, three of seven classes
    assert ready.run.transfers == [found]
    shown = "\n".join(on_a_terminal(transfer_table([found])))
    accuracy = found.scores.accuracy
    assert f"{percent(accuracy.low)}–{percent(accuracy.high)}" in shown  # there is room for it in one piece
    assert "On other datasets" in report_of(ready)
    assert "Other set alone tells how images of another origin fare" in report_of(ready)
    assert "the models do not know contempt" in report_of(ready)


def test_the_other_dataset_knows_who_read_it(ready, made, tmp_path: Path, data) -> None:
    from made_run import make_run

    other = other_dataset(tmp_path / "other", OTHER)
    run_transfer(ready.run, other, predict=predict_grey, why="is it general?", **MODELS)
    assert [line["why"] for line in ready.run.readings] == ["is it general?"]
    assert len(ready.run.openings) == 1
    assert openings_of(ready.run, split_ledger(ready.run)).faults == []
    card = PreparedDataset.open(other).card
    theirs = make_run(tmp_path / "theirs", (other, card))
    assert any(ready.run.settings.name in line for line in openings_of(theirs.run, split_ledger(theirs.run)).other_runs)
    with pytest.raises(UserError, match=r"has read the held-out split of Other set before.*--again"):
        run_transfer(ready.run, other, predict=predict_grey, **MODELS)
    assert run_transfer(ready.run, other, again=True, predict=predict_grey, **MODELS).reading == 2
    assert len(list(ready.path.glob("test/on/*/reading_*/transfer.json"))) == 2
    assert len(ready.run.transfers) == 1


def test_images_of_another_shape_are_brought_to_that_of_the_models(ready, tmp_path: Path) -> None:
    same = run_transfer(ready.run, other_dataset(tmp_path / "a", OTHER), predict=predict_grey, **MODELS)
    large = other_dataset(tmp_path / "b", OTHER, size=40, channels=3)
    found = run_transfer(ready.run, large, predict=predict_grey, **MODELS)
    assert found.brought == "from 40 x 40 to 24 x 24 pixels, to grey"
    assert found.scores.accuracy.value == pytest.approx(same.scores.accuracy.value, abs=0.02)


def test_people_of_the_other_dataset_count(ready, tmp_path: Path) -> None:
    other = other_dataset(tmp_path / "other", OTHER, people=10)
    found = run_transfer(ready.run, other, predict=predict_grey, **MODELS)
    assert found.scores.groups_sampled == 10
    assert "10 groups" in found.scores.method
    assert "intervals for new groups like its 10" in report_of(ready)


def test_images_that_the_run_learnt_from_are_left_out(ready, tmp_path: Path) -> None:
    own = PreparedDataset.open(ready.data)

    def split(name: str, images: Any, labels: Any) -> Any:
        pairs = enumerate(zip(images, labels, strict=True))
        return [Record(image, int(label), f"{name}/{n}") for n, (image, label) in pairs]

    fresh = [np.full((24, 24, 1), 20 + 30 * (n % 7) + n // 7, np.uint8) for n in range(35)]
    known = list(own.train().images[:10])
    records = {
        "train": split("train", own.val().images, own.val().labels),
        "val": split("val", own.val().images[:7], own.val().labels[:7]),
        "test": split("test", [*fresh, *known], [*(n % 7 for n in range(35)), *own.train().labels[:10]]),
    }
    write_dataset(tmp_path / "mixed", records, name="mixed", source="drawn by a test", classes=EMOTIONS)
    found = run_transfer(ready.run, tmp_path / "mixed", predict=predict_grey, **MODELS)
    assert (found.images, found.known, found.scores.images) == (45, 10, 35)
    assert "10 images left out that tiny has in train or validation" in report_of(ready)


def test_what_cannot_be_compared_costs_no_reading(ready, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="held-out split of the run itself"):
        run_transfer(ready.run, ready.data, predict=predict_grey, **MODELS)
    foreign = other_dataset(tmp_path / "foreign", {"cats": "", "dogs": "", "happy": "happy"})
    with pytest.raises(UserError, match=r"two shared classes are needed, there is happy: .*--classes old=new"):
        run_transfer(ready.run, foreign, predict=predict_grey, **MODELS)
    assert ready.run.readings == []


def test_classes_are_matched_by_what_they_mean() -> None:
    found = match_classes(["angry", "bored", "happy"], ["Bored", "joy", "Happiness", "fear"])
    assert (found.shared, found.only_trained, found.only_tested) == (["bored", "happy"], ["angry"], ["fear"])
    assert found.tested.tolist() == [0, 1, 1, -1]
    answers = found.restricted(np.array([[[0.5, 0.2, 0.3]]]))
    assert answers[0, 0] == pytest.approx([0.4, 0.6])


def test_means_have_the_intervals_of_accuracies() -> None:
    from analysis.statistics.scores import score

    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    probabilities = np.eye(3)[np.where(rng.random((3, 300)) < 0.7, labels, (labels + 1) % 3)]
    right = (probabilities.argmax(-1) == labels)[..., None]
    people = [str(number // 30) for number in range(300)]
    for groups, sampling in ((None, Images(300, 500)), (people, Groups(people))):
        own = score(labels, probabilities, ["a", "b", "c"], [1, 2, 3], groups=groups, resamples=500).accuracy
        [found] = mean_estimates(right, sampling)
        assert (found.value, found.low, found.high) == pytest.approx((own.value, own.low, own.high), abs=1e-6)
    [certain] = mean_estimates(np.ones((2, 50, 1)), Images(50, 100))
    assert (certain.low < 0.95, certain.high) == (True, 1.0)
