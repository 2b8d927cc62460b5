import csv

import numpy as np
import pytest
from drawing import EMOTIONS

from fer_tune.data.preparing.cleaning.findings import write_findings
from fer_tune.data.preparing.cleaning.hygiene import ORDER, Hygiene
from fer_tune.data.preparing.readers.base import Fault

IMAGES = {name: np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8) for i, name in enumerate("abcdef")}
IMAGES["blank"] = np.full((8, 8), 7, np.uint8)


def seen(keep_duplicates=False, **splits):
    """Show a Hygiene the images named per split, as name or name:label; return it and what stayed."""
    hygiene = Hygiene(EMOTIONS, keep_duplicates=keep_duplicates)
    stayed = {}
    for split in ORDER:
        stayed[split] = []
        for number, word in enumerate(splits.get(split, "").split()):
            name, _, label = word.partition(":")
            if hygiene.admit(split, f"{split}/{number}", int(label or 0), IMAGES[name]):
                stayed[split].append(word)
    return hygiene, stayed


def test_train_loses_what_stands_in_val_or_test_and_val_what_stands_in_test():
    hygiene, stayed = seen(train="a b c d", val="b c e", test="c f")
    assert stayed == {"train": ["a", "d"], "val": ["b", "e"], "test": ["c", "f"]}
    report = hygiene.report()
    assert report["splits"]["train"]["dropped"] == {"also in test": 1, "also in val": 1}
    assert report["splits"]["val"]["dropped"] == {"also in test": 1}
    assert report["splits"]["test"]["dropped"] == {}
    assert [report["splits"][split]["kept"] for split in ("train", "val", "test")] == [2, 2, 2]


def test_label_does_not_matter_for_dropping():
    assert seen(train="a:1 b", test="a:2")[1]["train"] == ["b"]


def test_duplicates_within_a_split_stay_and_are_counted():
    hygiene, stayed = seen(train="a a a b b", test="c c")
    assert stayed["train"] == ["a", "a", "a", "b", "b"]
    assert stayed["test"] == ["c", "c"]
    report = hygiene.report()
    assert report["splits"]["train"]["extra_copies"] == 3
    assert report["splits"]["test"]["extra_copies"] == 1
    assert report["overall"] == {"groups": 3, "extra_copies": 4, "groups_with_conflicting_labels": 0}


def test_every_copy_of_a_leak_is_dropped():
    assert seen(train="a a b", val="a", test="a")[1] == {"train": ["b"], "val": [], "test": ["a"]}


def test_keep_duplicates_drops_nothing_and_still_reports():
    dropping, _ = seen(train="a b c", val="b", test="c")
    keeping, stayed = seen(keep_duplicates=True, train="a b c", val="b", test="c")
    assert stayed["train"] == ["a", "b", "c"]
    assert keeping.report()["splits"]["train"]["dropped"] == {}
    assert keeping.report()["across"] == dropping.report()["across"]


def test_across_counts_images_of_the_split_read_against():
    report = seen(train="a a a b c", val="c d", test="a d e")[0].report()
    assert report["across"] == {
        "test with a twin in train": 1,
        "test with a twin in val": 1,
        "val with a twin in train": 1,
    }
    assert report["test_with_twin_in_train_or_val"] == 2


def test_conflicting_labels_are_counted_within_and_over_all():
    report = seen(train="a:1 a:2 b:1 b:1 c:3", test="c:4")[0].report()
    assert report["splits"]["train"]["groups_with_conflicting_labels"] == 1
    assert report["overall"]["groups_with_conflicting_labels"] == 2


@pytest.mark.parametrize(
    ("image", "blank"),
    [
        (np.zeros((5, 5), np.uint8), 1),
        (np.full((5, 5, 3), (200, 10, 10), np.uint8), 1),
        (np.eye(5, dtype=np.uint8), 0),
    ],
)
def test_blank_images(image, blank):
    hygiene = Hygiene(EMOTIONS)
    assert hygiene.admit("train", "x", 0, image)
    assert hygiene.report()["splits"]["train"]["blank"] == blank


def test_same_bytes_in_another_shape_are_no_duplicate():
    hygiene = Hygiene(EMOTIONS)
    hygiene.admit("test", "x", 0, IMAGES["a"])
    assert hygiene.admit("train", "y", 0, IMAGES["a"].reshape(4, 16))


def test_list_names_every_finding(tmp_path):
    hygiene, _ = seen(train="a:1 b blank", test="a:2")
    hygiene.unreadable["val"].append(Fault("val/9", "not an image"))
    write_findings(tmp_path / "list.csv", hygiene, [Fault("row:3", "truncated row")])
    with (tmp_path / "list.csv").open(newline="") as stream:
        rows = [tuple(row.values()) for row in csv.DictReader(stream)]
    assert sorted(rows) == sorted(
        [
            ("", "row:3", "", "truncated row", "", "", "", "no"),
            ("val", "val/9", "", "not an image", "", "", "", "no"),
            ("train", "train/2", "angry", "blank", "", "", "", "yes"),
            ("test", "test/0", "fear", "duplicate, conflicting labels", "1", "", "", "yes"),
            ("train", "train/0", "disgust", "duplicate, conflicting labels", "1", "", "", "no, also in test"),
        ]
    )
