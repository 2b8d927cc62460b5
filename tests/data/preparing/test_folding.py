"""`--folds`: everybody is held out once, and is on no other side meanwhile."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from data.preparing.conftest import sides
from wild import ck48, grown, jaffe, kdef, tree

import fer_tune
from fer_tune.data.prepared.folds import read_folds
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError


def splits_of(folder):
    data = PreparedDataset.open(folder)
    data.verify()
    return {split.name: split for split in (data.train(), data.val(), data.open_test())}


def test_everybody_is_held_out_once_and_on_one_side_in_each_fold(tmp_path):
    source = ck48(tmp_path / "ck", persons=8)
    found = fer_tune.prepare(source, tmp_path / "folds", folds=4, size=24)
    assert [fold.people for fold in found.card.folds] == [2, 2, 2, 2]
    assert found.card.people == 8
    held = Counter()
    for fold, card in zip(found.card.folds, found.cards, strict=True):
        splits = splits_of(tmp_path / "folds" / fold.name)
        assert all(len(places) == 1 for places in sides(splits).values())
        assert len(sides(splits)) == 8
        held.update(splits["test"].sources)
        assert card.content_hash == fold.content_hash
        assert card.images("test") == fold.images
        assert set(splits["test"].labels) == set(range(5))
    assert len(held) == 8 * 5 * 3
    assert set(held.values()) == {1}
    assert read_folds(tmp_path / "folds") == found.card


def test_one_is_left_out_at_a_time_and_the_seed_draws_the_folds(tmp_path):
    source = jaffe(tmp_path / "jaffe")
    one = fer_tune.prepare(source, None, folds=5, dry_run=True)
    assert sorted(card.splits["test_characters"][0] for card in one.cards) == ["KA", "KL", "KM", "KR", "TM"]
    two = [fer_tune.prepare(source, None, folds=2, dry_run=True, seed=seed).cards[0] for seed in range(4)]
    assert len({tuple(card.splits["test_characters"]) for card in two}) > 1
    again = fer_tune.prepare(source, None, folds=2, dry_run=True, seed=0).cards[0]
    assert again == two[0]
    assert list(tmp_path.iterdir()) == [source]


def test_published_parts_are_put_together(tmp_path):
    emotions = ("happy", "sad")
    levels = [grown([part], people, emotions) for part, people in (("train", ("p1", "p2", "p3")), ("test", ("p4",)))]
    source = tree(tmp_path / "raw", [folder for each in levels for folder in each])
    found = fer_tune.prepare(source, tmp_path / "folds", folds=4)
    assert sorted(card.splits["test_characters"][0] for card in found.cards) == ["p1", "p2", "p3", "p4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "--folds 1: two or more"),
        ({"folds": 9}, "--folds 9: there are 4 people or groups; --folds 4 leaves out one at a time"),
        ({"folds": 2, "split": "random"}, "--folds and --split contradict each other"),
        ({"folds": 2, "test_characters": "F01"}, "--folds and --test-characters contradict each other"),
        ({"folds": 2, "test_fraction": 0.3}, "--folds and --test-fraction contradict each other"),
    ],
)
def test_what_contradicts_folds(tmp_path, options, message):
    source = kdef(tmp_path / "KDEF")
    with pytest.raises(UserError, match=message):
        fer_tune.prepare(source, tmp_path / "folds", **options)
    assert list(tmp_path.iterdir()) == [source]  # all folds or none


def test_without_people_there_are_no_folds(tmp_path):
    source = tree(tmp_path / "raw", ["happy", "sad"], 8)
    with pytest.raises(UserError, match=r"--folds: this dataset does not tell who is shown; .* --group"):
        fer_tune.prepare(source, tmp_path / "folds", folds=2)
    found = fer_tune.prepare(source, tmp_path / "folds", folds=2, group=r"(\d)\.png")
    assert found.card.people == 8


def test_the_folder_of_the_folds_is_no_dataset_and_says_so(tmp_path):
    fer_tune.prepare(jaffe(tmp_path / "jaffe"), tmp_path / "folds", folds=2)
    with pytest.raises(UserError, match=r"a dataset in folds; .* such as .*fold_01"):
        PreparedDataset.open(tmp_path / "folds")
    with pytest.raises(UserError, match="exists already"):
        fer_tune.prepare(tmp_path / "jaffe", tmp_path / "folds", folds=2)
    file = tmp_path / "folds" / "folds.json"
    file.write_text(json.dumps({"name": "x"}))
    with pytest.raises(UserError, match=r"folds.json: damaged"):
        read_folds(tmp_path / "folds")
