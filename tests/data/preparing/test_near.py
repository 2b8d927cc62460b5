import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.cleaning import near
from fer_tune.data.preparing.prepare import prepare
from fer_tune.data.preparing.summary import hygiene_sentences
from fer_tune.errors import UserError


def smooth(count, seed=0, size=48):
    """Images of soft blobs, as unlike each other as faces are, or more."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 9, 9), np.uint8)
    return [Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in coarse]


def compressed(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def prints(images):
    return near.stacked(near.fingerprint(np.asarray(image)) for image in images)


def distances(one, other):
    return np.bitwise_count(one ^ other).sum(axis=-1)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: compressed(image, 60),
        lambda image: image.point(lambda value: value * 0.9 + 10),
        lambda image: image.resize((40, 40), Image.Resampling.LANCZOS),
        lambda image: image.convert("RGB"),
    ],
    ids=["compressed", "paler", "resized", "as RGB"],
)
def test_changed_copies_are_near_and_other_images_are_not(change):
    images = smooth(60)
    copies = [change(image) for image in images]
    assert (distances(prints(images), prints(copies)) <= near.NEAR).all()
    assert (distances(prints(images), prints(copies[1:] + copies[:1])) > 2 * near.NEAR).all()


@pytest.mark.parametrize("telling", [0, 1e9], ids=["by blocks", "by segments"])
def test_nearest_is_what_comparing_all_pairs_finds(monkeypatch, telling):
    monkeypatch.setattr(near, "_TELLING", telling)
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 256, (8, 32), np.uint8)
    flips = (rng.random((40, 256)) < 0.05).astype(np.uint8)
    given = centres[rng.integers(0, 8, 40)] ^ np.packbits(flips, axis=1)
    members = rng.random((40, 3)) < 0.4
    monkeypatch.setattr(near, "_BLOCK", 7)  # so that blocks are cut everywhere
    found = near.nearest(given, members)
    table = distances(given[:, None], given[None])
    np.fill_diagonal(table, 999)
    close = table <= near.NEAR
    assert 0 < close.any(axis=1).sum() < 40
    np.testing.assert_array_equal(found.beside, (close[:, :, None] & members[None]).any(axis=1))
    np.testing.assert_array_equal(found.index >= 0, close.any(axis=1))
    np.testing.assert_array_equal(found.bits[found.index >= 0], table.min(axis=1)[close.any(axis=1)])
    assert all(table[i, j] == table[i].min() for i, j in enumerate(found.index) if j >= 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.sampled_from([0.02, 0.05, 0.1]))
def test_segments_miss_no_pair(seed, count, noise):
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (4, 32), np.uint8)
    prints = centres[rng.integers(0, 4, count)] ^ np.packbits(rng.random((count, 256)) < noise, axis=1)
    members = rng.random((count, 3)) < 0.5
    one, other = near._Seen(members), near._Seen(members)
    assert list(near._by_blocks(prints, one))[-1] == (count, count)
    assert list(near._by_segments(prints, near._codes(prints), other))[-1] == (21, 21)
    for field in ("beside", "bits"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@pytest.fixture
def tree(tmp_path):
    """Two classes of 12 images; train has an almost-copy of a test image, test two of each other, and blanks."""
    root = tmp_path / "tree"
    images = iter(smooth(40))
    for split, count in (("train", 6), ("val", 2), ("test", 4)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                next(images).save(root / split / name / f"{number}.png")
    first = Image.open(root / "test" / "cat" / "0.png")
    compressed(first, 70).save(root / "train" / "cat" / "leak.png")
    compressed(first, 80).save(root / "test" / "dog" / "other.png")
    Image.new("L", (48, 48), 10).save(root / "train" / "cat" / "dark.png")
    Image.new("L", (48, 48), 250).save(root / "test" / "cat" / "bright.png")
    return root


def test_near_duplicates_are_counted_listed_and_kept(tree, tmp_path):
    card = prepare(tree, tmp_path / "out")
    assert card.images("train") == 14
    assert card.hygiene["near_duplicates"] == {
        "bits": "20 of 256",
        "dropped": False,
        "images": 3,
        "across": {
            "test with a near twin in train": 2,
            "test with a near twin in val": 0,
            "val with a near twin in train": 0,
        },
        "within": {"train": 0, "val": 0, "test": 2},
    }
    with (tmp_path / "out" / "hygiene.csv").open(newline="") as stream:
        rows = {row["source"]: row for row in csv.DictReader(stream) if row["finding"] == "near-duplicate"}
    assert set(rows) == {"train/cat/leak.png", "test/cat/0.png", "test/dog/other.png"}
    assert rows["train/cat/leak.png"]["like"] in ("test/cat/0.png", "test/dog/other.png")
    assert int(rows["train/cat/leak.png"]["bits"]) <= near.NEAR
    assert rows["train/cat/leak.png"]["kept"] == "yes"
    assert any("2 test with a near twin in train" in sentence for sentence in hygiene_sentences(card))


def test_near_duplicates_are_dropped_from_training_on_request(tree, tmp_path):
    card = prepare(tree, tmp_path / "out", drop_near_duplicates=True)
    assert "train/cat/leak.png" not in PreparedDataset.open(tmp_path / "out").train().sources
    assert card.hygiene["splits"]["train"]["dropped"] == {"near-duplicate in test": 1}
    assert (card.images("train"), card.images("test")) == (13, 10)
    assert "train/cat/leak.png,cat,near-duplicate" in (tmp_path / "out" / "hygiene.csv").read_text()
    assert any("1 of train, near-duplicate in test" in sentence for sentence in hygiene_sentences(card))


def test_keeping_and_dropping_contradict_each_other(tree, tmp_path):
    with pytest.raises(UserError, match="--keep-duplicates and --drop-near-duplicates contradict"):
        prepare(tree, tmp_path / "out", keep_duplicates=True, drop_near_duplicates=True)
