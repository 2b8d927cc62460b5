import random
from collections import Counter

import pytest
from drawing import EMOTIONS

from fer_tune.data.labels import canonical
from fer_tune.data.preparing.readers.base import Sample
from fer_tune.data.preparing.splits import SplitOptions, assign, stratified
from fer_tune.errors import UserError


def samples(part, per_class):
    return [
        Sample(f"{part}/{label}/{i}", label, part, None) for label, count in enumerate(per_class) for i in range(count)
    ]


def by_label(found):
    return Counter(sample.label for sample in found)


def test_published_validation_split_is_kept():
    given = samples("train", [9] * 7) + samples("val", [2] * 7) + samples("test", [3] * 7)
    found, about = assign(given, EMOTIONS, SplitOptions(val_fraction=None, seed=0))
    assert {split: len(part) for split, part in found.items()} == {"train": 63, "val": 14, "test": 21}
    assert about == {"validation": "published"}
    with pytest.raises(UserError, match=r"--val-fraction.*validation part of its own"):
        assign(given, EMOTIONS, SplitOptions(val_fraction=0.2, seed=0))


def test_missing_validation_split_is_a_stratified_part_of_train():
    given = samples("train", [100, 10, 50, 3, 20, 20, 20]) + samples("test", [3] * 7)
    found, about = assign(given, EMOTIONS, SplitOptions(val_fraction=0.2, seed=3))
    assert by_label(found["val"]) == {0: 20, 1: 2, 2: 10, 3: 1, 4: 4, 5: 4, 6: 4}
    assert sorted(found["train"] + found["val"]) == sorted(samples("train", [100, 10, 50, 3, 20, 20, 20]))
    assert about == {"validation": "stratified part of train", "val_fraction": 0.2, "seed": 3}


def test_fraction_is_a_tenth_unless_told():
    found, about = assign(
        samples("train", [30] * 7) + samples("test", [1]), EMOTIONS, SplitOptions(val_fraction=None, seed=0)
    )
    assert len(found["val"]) == 21
    assert about["val_fraction"] == pytest.approx(0.1)


def test_choice_depends_on_the_seed_and_not_on_the_order():
    given = samples("train", [40] * 7)
    chosen = stratified(given, EMOTIONS, 0.25, seed=0)
    shuffled = random.Random(5).sample(given, len(given))
    assert stratified(shuffled, EMOTIONS, 0.25, seed=0) == chosen
    assert stratified(given, EMOTIONS, 0.25, seed=1) != chosen


def test_adding_an_image_hardly_moves_the_others():
    given = samples("train", [40] * 7)
    more = [*given, Sample("train/0/new", 0, "train", None)]
    assert len(stratified(given, EMOTIONS, 0.25, 0) ^ stratified(more, EMOTIONS, 0.25, 0)) <= 2


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 7, float("nan")])
def test_fraction_out_of_bounds(fraction):
    with pytest.raises(UserError, match="must lie between 0 and 1"):
        assign(samples("train", [9] * 7) + samples("test", [1]), EMOTIONS, SplitOptions(val_fraction=fraction, seed=0))


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_that_is_missing(part):
    other = "test" if part == "train" else "train"
    with pytest.raises(UserError, match=f"no {part} images found"):
        assign(samples(other, [5] * 7), EMOTIONS, SplitOptions(val_fraction=None, seed=0))


def test_class_of_one_image_cannot_be_divided():
    with pytest.raises(UserError, match="class 'disgust' has one training image"):
        assign(samples("train", [5, 1, 5]) + samples("test", [1]), EMOTIONS, SplitOptions(val_fraction=None, seed=0))


def test_no_split_takes_all_of_a_class():
    chosen = stratified(samples("train", [2, 3]), EMOTIONS, 0.99, 0)
    assert len(chosen) == 3


@pytest.mark.parametrize(
    ("name", "emotion"), [("Anger", "angry"), (" joy ", "happy"), ("SADNESS", "sad"), ("fear", "fear"), ("x", None)]
)
def test_aliases_of_emotions(name, emotion):
    assert canonical(name) == emotion
