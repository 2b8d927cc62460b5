"""The embedded dataset: the same for the same seed, honest in its splits, useful in its difficulty."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from typer.testing import CliRunner

from fer_tune.cli.data import app
from fer_tune.data.labels import EMOTIONS
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.synthetic.expressions import WEAKEST, sample_action_units
from fer_tune.data.synthetic.synthesize import CLASS_SHARES, SMALLEST, SPLIT_SHARES, make_gallery, synthesize
from fer_tune.errors import UserError


@pytest.fixture(scope="module")
def gallery():
    return make_gallery(1000, 60, np.random.default_rng(0))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("synthetic") / "faces"
    synthesize(out, size=300, seed=3)
    return PreparedDataset.open(out)


def splits(dataset):
    return {"train": dataset.train(), "val": dataset.val(), "test": dataset.open_test()}


def test_the_dataset_is_what_its_card_says(dataset):
    card = dataset.card
    assert card.name == "synthetic"
    assert card.classes == list(EMOTIONS)
    assert card.shape == (48, 48, 1)
    assert {name: len(split) for name, split in splits(dataset).items()} == {"train": 210, "val": 45, "test": 45}


def test_every_split_holds_every_emotion(tmp_path):
    card = synthesize(tmp_path / "small", size=SMALLEST)
    assert all(min(counts.values()) > 0 for counts in card.counts.values())


def test_nobody_is_in_two_splits(dataset):
    groups = [set(split.groups) for split in splits(dataset).values()]
    assert len(set.union(*groups)) == sum(len(group) for group in groups)
    assert min(len(group) for group in groups) > 1


def test_sources_are_unique_and_name_the_emotion(dataset):
    split = dataset.train()
    assert len(set(split.sources)) == len(split)
    assert all(EMOTIONS[label] in source for label, source in zip(split.labels, split.sources, strict=True))


def test_the_same_seed_draws_the_same_bytes_and_another_seed_does_not(tmp_path):
    first, again, other = (
        synthesize(tmp_path / name, size=SMALLEST, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.content_hash == again.content_hash
    for split in SPLIT_SHARES:
        assert (tmp_path / "a" / f"{split}.arrow").read_bytes() == (tmp_path / "b" / f"{split}.arrow").read_bytes()
        assert first.split_hashes[split] != other.split_hashes[split]


def test_the_options_of_the_command_reach_the_dataset(tmp_path):
    result = CliRunner().invoke(app, ["synthesize", "--out", str(tmp_path / "d"), "--size", "150", "--seed", "7"])
    assert result.exit_code == 0
    dataset = PreparedDataset.open(tmp_path / "d")
    assert sum(dataset.card.images(split) for split in SPLIT_SHARES) == 150
    assert dataset.card.splits["seed"] == 7
    assert dataset.card.content_hash == synthesize(tmp_path / "e", size=150, seed=7).content_hash


@pytest.mark.parametrize(
    ("arguments", "named"), [({"size": SMALLEST - 1}, "--size"), ({"size": 10**9}, "--size"), ({"seed": -1}, "--seed")]
)
def test_bad_values_are_told_before_anything_is_written(tmp_path, arguments, named):
    with pytest.raises(UserError, match=named):
        synthesize(tmp_path / "out", **arguments)
    assert not any(tmp_path.iterdir())


def test_a_folder_in_use_is_refused_and_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="exists already"):
        synthesize(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_classes_are_roughly_balanced_and_disgust_is_rarest(gallery):
    counts = np.bincount(gallery.labels, minlength=len(EMOTIONS))
    assert counts.argmin() == EMOTIONS.index("disgust")
    assert counts.max() < 3 * counts.min()
    assert sum(CLASS_SHARES.values()) == pytest.approx(1)


def test_expressions_are_graded_and_neutral_has_none(gallery):
    neutral = gallery.labels == EMOTIONS.index("neutral")
    assert not gallery.intensity[neutral].any()
    assert gallery.intensity[~neutral].min() >= WEAKEST
    assert gallery.intensity[~neutral].std() > 0.05
    muscles, intensity = sample_action_units(np.full(2000, EMOTIONS.index("happy")), np.random.default_rng(0))
    assert np.corrcoef(muscles["lip_corner_puller"], intensity)[0, 1] > 0.3


def test_the_muscles_tell_the_emotion():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(EMOTIONS), 3000)
    muscles = np.stack(list(sample_action_units(labels, rng)[0].values()), axis=1)
    model = LogisticRegression(max_iter=300, C=10).fit(muscles[:2000], labels[:2000])
    assert 0.9 < model.score(muscles[2000:], labels[2000:]) < 1


@pytest.mark.parametrize("rows", [(0, 48), (0, 27), (27, 48)], ids=["face", "upper half", "lower half"])
def test_no_linear_classifier_of_pixels_tells_the_emotion(gallery, rows):
    pixels = gallery.images[:, slice(*rows)].reshape(len(gallery.labels), -1) / 127.5 - 1
    model = RidgeClassifier(alpha=100).fit(pixels[:800], gallery.labels[:800])
    assert model.score(pixels[800:], gallery.labels[800:]) < 0.6
