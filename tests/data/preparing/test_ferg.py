import numpy as np
import pytest
from drawing import EMOTIONS
from PIL import Image
from raw_trees import FERG_EMOTIONS, draw_ferg

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.prepare import prepare
from fer_tune.data.preparing.readers import read_raw
from fer_tune.data.preparing.splits import SplitOptions
from fer_tune.errors import UserError


@pytest.fixture
def ferg(tmp_path):
    return draw_ferg(tmp_path / "FERG_DB_256", 2, size=32)


def test_labels_and_characters_come_from_the_folders(ferg):
    name, raw = read_raw(ferg.parent)
    assert (name, raw.name, raw.channels) == ("ferg-db", "ferg-db", 3)
    assert len(raw.samples) == 6 * 7 * 2
    for sample in raw.samples:
        character, folder, _ = sample.source.split("/")
        assert (sample.group, sample.part) == (character, "")
        assert EMOTIONS[sample.label] == FERG_EMOTIONS[folder.split("_")[1]]


def test_what_is_transparent_turns_white(ferg):
    raw = read_raw(ferg)[1]
    image, drawn = raw.load(raw.samples[0]), np.asarray(Image.open(ferg / raw.samples[0].source))
    inside = drawn[..., 3] == 255
    assert image.shape == (32, 32, 3)
    assert (image[~inside] == 255).all()
    np.testing.assert_array_equal(image[inside], drawn[inside][:, :3])


def test_character_split_leaves_characters_out(ferg, tmp_path):
    card = prepare(ferg, tmp_path / "out")
    data = PreparedDataset.open(tmp_path / "out")
    found = {s.name: set(s.groups) for s in (data.train(), data.val(), data.open_test())}
    assert [len(found[split]) for split in ("train", "val", "test")] == [4, 1, 1]
    assert len(set.union(*found.values())) == 6
    assert card.splits["split"] == "character"
    assert card.splits["test_characters"] == sorted(found["test"])
    again = prepare(ferg, tmp_path / "again", splits=SplitOptions(test_characters=("ray", "mery")))
    assert set(PreparedDataset.open(tmp_path / "again").open_test().groups) == {"ray", "mery"}
    assert again.splits["test_characters"] == ["mery", "ray"]


def test_random_split_is_that_of_the_literature(tmp_path):
    root = draw_ferg(tmp_path / "ferg", 5, size=16)
    card = prepare(root, tmp_path / "out", splits=SplitOptions("random"), keep_duplicates=True)
    assert {split: card.images(split) for split in card.counts} == {"train": 7 * 19, "val": 7 * 5, "test": 7 * 6}
    assert all(set(counts.values()) in ({19}, {5}, {6}) for counts in card.counts.values())
    assert set(PreparedDataset.open(tmp_path / "out").open_test().groups) > {"ray"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SplitOptions(test_characters=("rya",)), r"--test-characters rya: no such character; did you mean 'ray'"),
        (SplitOptions("random", ("ray",)), "--split random and --test-characters contradict"),
        (SplitOptions("Random"), "--split Random: it is random or character"),
        (SplitOptions(test_characters=("ray",), test_fraction=0.3), "leave --test-fraction out"),
        (
            SplitOptions(test_characters=("aia", "bonnie", "jules", "malcolm", "mery")),
            "only one group left, 'ray'; train, val and test each need a whole group",
        ),
    ],
)
def test_bad_split_options(ferg, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        prepare(ferg, tmp_path / "out", splits=options)


def test_zero_byte_files_are_listed(ferg, tmp_path):
    (ferg / "aia" / "aia_fear" / "aia_fear_1.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"aia/aia_fear/aia_fear_1\.png: empty file \(0 bytes\)"):
        prepare(ferg, tmp_path / "out")
    card = prepare(ferg, tmp_path / "out", skip_unreadable=True)
    assert sum(split["unreadable"] for split in card.hygiene["splits"].values()) == 1


def test_misspelt_and_empty_emotions(ferg):
    (ferg / "aia" / "aia_fear").rename(ferg / "aia" / "aia_faer")
    with pytest.raises(UserError, match=r"aia_faer: expected aia_<emotion>; did you mean 'fear'"):
        read_raw(ferg)
    (ferg / "aia" / "aia_faer").rename(ferg.parent / "elsewhere")
    (ferg / "aia" / "aia_fear").mkdir()
    with pytest.raises(UserError, match=r"aia_fear: no images in it"):
        read_raw(ferg)


def test_other_folders_are_passed_over_and_told(ferg):
    (ferg / "extras" / "aia").mkdir(parents=True)
    assert read_raw(ferg)[1].notes == ["folders passed over, not a character with its emotions: 'extras'"]
