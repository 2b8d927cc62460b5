"""What a run over folds comes to: made-up searches, models that guess."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from made_run import load_seed, make_run, predict_seed
from wild import jaffe

import fer_tune
from analysis.folds.record import FoldsRecord
from analysis.folds.run import FoldsRun, folds_at, load_any
from analysis.heldout import opening
from fer_tune.errors import UserError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FoldsRun:
    """Two folds of five people, searched; the first is refitted with three seeds, the second with two."""
    found = fer_tune.prepare(jaffe(tmp_path / "jaffe"), tmp_path / "data", folds=2, size=24)
    path = tmp_path / "ours"
    path.mkdir()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    FoldsRecord(created=created, data=str(tmp_path / "data"), dataset=found.card, asked={}).write(path)
    for fold, card, seeds in zip(found.card.folds, found.cards, (3, 2), strict=True):
        made = make_run(path / f"ours-{fold.name}", (tmp_path / "data" / fold.name, card))
        made.refit([[0.6] * seeds])
    whole = opening.run_test

    def guessing(own, **options):
        return whole(own, **options, load=load_seed, predict=predict_seed, device="cpu", resamples=50)

    monkeypatch.setattr(opening, "run_test", guessing)
    return load_any(path)


def test_every_person_counts_once_and_intervals_are_for_people(run):
    result = run.test(tta=False)
    assert run.result == result
    assert result.people == 5
    assert sorted(fold.people for fold in result.folds) == [2, 3]
    assert [fold.seeds for fold in result.folds] == [3, 2]
    pooled = result.pooled
    assert len(pooled.seeds) == 2  # as many as every fold has
    assert pooled.images == 70
    assert pooled.groups_sampled == 5
    each = [own.predictions(own.tests[0].config_id) for own in run.runs.values()]
    right = np.concatenate([(one.probabilities[:2].argmax(-1) == one.labels) for one in each], axis=1)
    assert pooled.accuracy.value == pytest.approx(right.mean())
    assert pooled.accuracy.per_seed == pytest.approx(right.mean(1))
    people = np.concatenate([one.groups for one in each])
    means = [right[:, people == name].mean() for name in sorted(set(people))]
    assert pooled.accuracy.high - pooled.accuracy.low > 2 * 2.776 * np.std(means, ddof=1) / np.sqrt(5) - 1e-9  # t, 4 df
    assert result.mean == pytest.approx(np.mean([fold.accuracy for fold in result.folds]))
    assert result.sd == pytest.approx(np.std([fold.accuracy for fold in result.folds], ddof=1))


def test_a_test_that_was_cut_short_goes_on_and_opens_no_split_twice(run, monkeypatch):
    whole, opened = opening.run_test, []

    def broken(own, **options):
        opened.append(own.folder.name)
        if len(opened) == 2:
            raise UserError("the disk is full")
        return whole(own, **options)

    monkeypatch.setattr(opening, "run_test", broken)
    with pytest.raises(UserError, match="the disk is full"):
        run.test(tta=False)
    assert run.result is None
    assert "1 of 2 folds are tested; go on with `fer-tune test ours`" in run.report().markdown.read_text()
    result = run.test(tta=False)
    assert opened == ["ours-fold_01", "ours-fold_02", "ours-fold_02"]
    assert [fold.openings for fold in result.folds] == [1, 1]
    with pytest.raises(UserError, match=r"the held-out split of every fold was opened(.|\n)*--again"):
        run.test()
    assert [fold.openings for fold in run.test(again=True, tta=False).folds] == [2, 2]


def test_nothing_is_opened_before_every_fold_is_refitted(run):
    for file in (run.path / "ours-fold_02" / "refit").rglob("*.json"):
        file.unlink()
    with pytest.raises(UserError, match=r"fold_02: .* nothing is refitted yet(.|\n)*all folds: `fer-tune refit"):
        run.test()
    assert not any(own.openings for own in run.runs.values())


def test_the_report_has_the_folds_and_what_they_come_to(run, tmp_path):
    told = run.report().markdown.read_text()
    assert "Every fold is searched; next: `fer-tune refit ours`, then `fer-tune test ours`" in told
    result = run.test(tta=False)
    written = folds_at(run.path).report()
    told = written.markdown.read_text()
    assert written.answer in told
    assert "of 70 images of 5 people are right (95 % interval for other people:" in told
    assert f"over 2 folds the mean is {100 * result.mean:.1f} %" in told
    for fold in result.folds:
        assert (
            f"| {fold.fold} | {fold.people} | {fold.images} | {fold.validation} | {100 * fold.accuracy:.1f} |" in told
        )
    for name in ("accuracy", "balanced accuracy", "macro F1", *result.pooled.classes):
        assert f"| {name} |" in told
    assert "opened 2 times" not in told
    assert str(tmp_path) not in told + written.html.read_text()
    run.test(again=True, tta=False)
    assert "A held-out split was opened 2 times" in run.report().markdown.read_text()
