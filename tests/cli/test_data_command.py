import shutil

import numpy as np
import pytest
from drawing import draw_fer2013_csv, draw_fer2013_folders, tiny_dataset
from PIL import Image
from raw_trees import draw_ferg, draw_raf_folders, draw_raf_official, draw_tree
from typer.testing import CliRunner
from wild import affectnet

from fer_tune.cli.data import app
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.prepare import prepare
from fer_tune.errors import UserError


def run(*arguments):
    """Run ``fer-tune data ...``; return what it printed, let a UserError through."""
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture
def folders(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer2013", 10)
    shutil.copy(next((root / "test" / "sad").iterdir()), root / "train" / "sad" / "Training_999999.png")
    return root


def cells(output, row):
    line = next(line for line in output.splitlines() if line.startswith(f"│ {row} "))
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def test_prepare_prints_what_it_found_and_dropped(folders, tmp_path):
    output = run("prepare", folders, "--out", tmp_path / "out")
    card = PreparedDataset.open(tmp_path / "out").card
    assert "fer2013: 48x48 grey" in output
    assert cells(output, "sad") == [str(card.counts[split]["sad"]) for split in ("train", "val", "test")]
    assert cells(output, "all") == [str(card.images(split)) for split in ("train", "val", "test")]
    assert "source: fer2013-folders" in output
    assert (
        "there is no PrivateTest, so the test is PublicTest; validation is a stratified 10% of train, seed 0" in output
    )
    assert "also in test" in output
    assert "leaks: 1 of the test images" in output
    assert f"written to {tmp_path / 'out'}\nnext: fer-tune search --data {tmp_path / 'out'} --backbone " in output


def test_keep_duplicates(folders, tmp_path):
    output = run("prepare", folders, "--out", tmp_path / "out", "--keep-duplicates")
    assert "dropped: nothing" in output
    assert "kept there (--keep-duplicates)" in output


def test_name(folders, tmp_path):
    run("prepare", folders, "--out", tmp_path / "out", "--name", "mine")
    assert PreparedDataset.open(tmp_path / "out").card.name == "mine"


def test_skip_unreadable(folders, tmp_path):
    sorted((folders / "test" / "fear").iterdir())[0].write_bytes(b"")
    with pytest.raises(UserError, match="1 of 106 images cannot be read"):
        run("prepare", folders, "--out", tmp_path / "out")
    assert "1 of test, unreadable (1 of 0 bytes)" in run(
        "prepare", folders, "--out", tmp_path / "out", "--skip-unreadable"
    )


def test_val_fraction_and_seed(folders, tmp_path):
    chosen = []
    for number, seed in enumerate((0, 0, 1)):
        run("prepare", folders, "--out", tmp_path / str(number), "--val-fraction", "0.3", "--seed", seed)
        chosen.append(PreparedDataset.open(tmp_path / str(number)).val().sources)
    assert len(chosen[0]) == pytest.approx(21, abs=1)  # the leaked image may be among them, and is dropped
    assert chosen[0] == chosen[1] != chosen[2]


def test_format(folders, tmp_path):
    draw_fer2013_csv(folders / "fer2013.csv", 2)
    assert "source: fer2013-csv" in run("prepare", folders, "--out", tmp_path / "a", "--format", "fer2013-csv")
    assert "source: fer2013-folders" in run("prepare", folders, "--out", tmp_path / "b", "--format", "fer2013-folders")


def test_size(folders, tmp_path):
    assert "fer2013: 20x20 grey" in run("prepare", folders, "--out", tmp_path / "out", "--size", "20")


def test_synthesize(tmp_path):
    for name, size, seed in (("a", 140, 0), ("b", 140, 0), ("c", 140, 1), ("d", 210, 0)):
        run("synthesize", "--out", tmp_path / name, "--size", size, "--seed", seed)
    cards = {name: PreparedDataset.open(tmp_path / name).card for name in "abcd"}
    images = {name: sum(card.images(split) for split in card.counts) for name, card in cards.items()}
    assert images == {"a": 140, "b": 140, "c": 140, "d": 210}
    assert cards["a"].content_hash == cards["b"].content_hash != cards["c"].content_hash


def opened(path):
    data = PreparedDataset.open(path)
    data.verify()
    return data, {split.name: split for split in (data.train(), data.val(), data.open_test())}


def test_raf_db_official_and_as_folders(tmp_path):
    for name, draw in (("raf-db", draw_raf_official), ("raf-db-folders", draw_raf_folders)):
        output = run("prepare", draw(tmp_path / name, 10), "--out", tmp_path / f"{name}.out")
        data, splits = opened(tmp_path / f"{name}.out")
        assert f"source: {name}, {name}" in output
        assert "raf-db: 100x100 RGB" in output
        assert "splits: official: train and test; validation is a stratified 10% of train, seed 0" in output
        assert {name: len(split) for name, split in splits.items()} == {"train": 63, "val": 7, "test": 35}
        assert splits["train"].images.shape == (63, 100, 100, 3)
        assert data.card.classes[0] == "angry"


def test_ferg_db_by_character_and_at_random(tmp_path):
    root = draw_ferg(tmp_path / "FERG_DB_256", 3, size=32)
    output = run("prepare", root, "--out", tmp_path / "a", "--test-characters", "ray,mery", "--size", "24")
    _, splits = opened(tmp_path / "a")
    assert "ferg-db: 24x24 RGB" in output
    assert "the test is mery, ray, left out of the rest, and validation " in output
    assert set(splits["test"].groups) == {"mery", "ray"}
    output = run("prepare", root, "--out", tmp_path / "b", "--split", "random", "--test-fraction", "0.3")
    assert "the test is a stratified 30% of all; validation is a stratified 20% of the rest, seed 0" in output
    assert len(opened(tmp_path / "b")[1]["test"]) == 35


def test_any_tree_with_groups_and_in_grey(tmp_path):
    folders = {f"{pet}/person{number}": 2 for pet in ("cat", "dog") for number in range(10)}
    root = draw_tree(tmp_path / "pets", folders, size=(20, 30))
    output = run(
        "prepare", root, "--out", tmp_path / "out", "--group", r"person\d", "--channels", "1", "--format", "folders"
    )
    _, splits = opened(tmp_path / "out")
    assert "pets: 30x20 grey" in output
    assert splits["train"].images.shape[1:] == (20, 30, 1)
    groups = [set(split.groups) for split in splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10


def test_near_duplicates(tmp_path):
    root = draw_tree(tmp_path / "pets", {f"{split}/{pet}": 4 for split in ("train", "val", "test") for pet in "ab"})
    paler = Image.open(root / "test" / "a" / "17.png").point(lambda value: value * 0.95 + 5)
    paler.save(root / "train" / "a" / "paler.png")
    assert "1 test with a near twin in train" in run("prepare", root, "--out", tmp_path / "out")
    output = run("prepare", root, "--out", tmp_path / "other", "--drop-near-duplicates")
    assert "near-duplicate in test" in output
    assert "dropped by the same rule" in output


def test_faces_are_aligned_or_not(tmp_path):
    root = affectnet(tmp_path / "affectnet", per_code=3)
    points = [(12, 12), (20, 12), (16, 16), (13, 21), (19, 21)]  # in a picture of 32x32
    for image in sorted(root.glob("*/images/*.jpg")):
        np.save(image.parent.parent / "annotations" / f"{image.stem}_lnd.npy", np.array(points).ravel())
    said = {"left": [], "aligned": ["--align"], "not": ["--no-align"]}
    for name, options in said.items():
        run("prepare", root, "--out", tmp_path / name, *options)
    found = {name: opened(tmp_path / name)[1]["train"].images[:] for name in said}
    assert (found["left"] == found["not"]).all()
    assert found["aligned"].shape == found["not"].shape
    assert (found["aligned"] != found["not"]).any()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A prepared dataset whose classes are of one colour each, so that a sheet shows what it should."""
    root = tmp_path_factory.mktemp("shown") / "paint"
    for split, count in (("train", 5), ("val", 2), ("test", 2)):
        for name, colour in (("blue", (20, 20, 220)), ("red", (220, 20, 20))):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                tint = tuple(value + 4 * number + {"train": 0, "val": 1, "test": 2}[split] for value in colour)
                Image.new("RGB", (40, 30), tint).save(root / split / name / f"{number}.png")
    prepare(root, root.parent / "out", name="paint")
    return root.parent / "out"


def test_show_prints_the_card_and_draws_samples_per_class(shown, tmp_path):
    output = run("show", shown, "--out", tmp_path / "sheet.png", "--per-class", "3")
    assert "paint: 40x30 RGB" in output
    assert cells(output, "blue") == ["5", "2", "2"]
    assert f"drawn in {tmp_path / 'sheet.png'}" in output
    pixels = np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)
    rows = pixels[20:, 120:]
    upper, lower = rows[:100], rows[100:]
    is_blue, is_red = (lambda part: part[..., 2] - part[..., 0] > 150), (lambda part: part[..., 0] - part[..., 2] > 150)
    assert is_blue(upper).any()
    assert is_red(lower).any()
    assert not is_red(upper).any()
    assert not is_blue(lower).any()
    wider = run("show", shown, "--out", tmp_path / "wide.png", "--per-class", "5")
    assert wider
    assert Image.open(tmp_path / "wide.png").width > Image.open(tmp_path / "sheet.png").width


def test_show_draws_the_same_faces_at_several_strengths(shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "drawn in paint-augmented.png" in run("show", shown, "--augmentation", "0.6")
    run("show", shown, "--augmentation", "0.1", "--out", "mild.png")
    strong, mild = (np.asarray(Image.open(name)).astype(int)[60:, 110:] for name in ("paint-augmented.png", "mild.png"))
    assert strong.shape == mild.shape
    np.testing.assert_array_equal(strong[:, :96], mild[:, :96])  # the first column is the face as it is

    def change(sheet):
        """How far the pictures' middles are from the first one's, over all strengths."""
        middles = [sheet[10, 100 * column + 48] for column in range(10)]
        return np.abs(np.array(middles[1:]) - middles[0]).mean()

    assert change(strong) > 2 * change(mild)


def test_show_draws_the_transforms_that_are_named(shown, tmp_path):
    for name in ("flip", "brightness"):
        run("show", shown, "--augmentation", "1", "--transforms", name, "--out", tmp_path / f"{name}.png")
    sheets = {name: np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int) for name in ("flip", "brightness")}
    middles = {name: sheet[70, 158::100] for name, sheet in sheets.items()}  # of the first face, one per column
    assert (middles["flip"] == middles["flip"][0]).all()  # it is of one colour
    assert np.abs(middles["brightness"] - middles["brightness"][0]).max() > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--augmentation", "1.5"], "must lie between 0 and 1"),
        (["--augmentation", "0.5", "--transforms", "flip+smear"], "--transforms flip\\+smear: 'smear' is no transform"),
        (["--transforms", "flip"], "--transforms: says what --augmentation does"),
        (["--out", "sheet.jpg"], "name it sheet.jpg.png"),
        (["--out", "nowhere/sheet.png"], "cannot be written"),
    ],
)
def test_show_refuses(shown, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run("show", shown, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_show_needs_a_prepared_dataset(tmp_path):
    with pytest.raises(UserError, match="not a prepared dataset"):
        run("show", tmp_path)


def test_show_says_what_does_nothing_to_grey_images(tmp_path):
    tiny_dataset(tmp_path / "grey", n_train=14, n_val=7, n_test=7)
    with pytest.raises(UserError, match="--transforms: hue: does nothing to grey images"):
        run("show", tmp_path / "grey", "--augmentation", "0.5", "--transforms", "flip+hue")
