import shutil

import numpy as np
import pytest
from drawing import draw_fer2013_csv, draw_fer2013_folders
from PIL import Image

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.prepare import prepare
from fer_tune.data.preparing.splits import SplitOptions
from fer_tune.errors import UserError


@pytest.fixture
def folders(tmp_path):
    return draw_fer2013_folders(tmp_path / "fer2013", 10)


def leak(root, source="test", target="train"):
    """Copy one image of ``source`` into ``target`` under a training name."""
    shutil.copy(next((root / source / "sad").iterdir()), root / target / "sad" / "Training_999999.png")


def test_prepared_folders_hold_the_pixels_and_labels_of_the_files(folders, tmp_path):
    card = prepare(folders, tmp_path / "out")
    assert (card.name, card.source) == ("fer2013", "fer2013-folders, fer2013")
    assert card.shape == (48, 48, 1)
    assert {split: card.images(split) for split in card.counts} == {"train": 63, "val": 7, "test": 35}
    data = PreparedDataset.open(tmp_path / "out")
    for split in (data.train(), data.val(), data.open_test()):
        for image, label, source in zip(split.images, split.labels, split.sources, strict=True):
            np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(folders / source)))
            assert card.classes[label] == source.split("/")[1]


def test_csv_and_folders_of_the_same_images_give_the_same_pixels(tmp_path):
    draw_fer2013_csv(tmp_path / "fer2013.csv", 4)
    card = prepare(tmp_path / "fer2013.csv", tmp_path / "csv")
    assert {split: card.images(split) for split in card.counts} == {"train": 28, "val": 28, "test": 28}
    data = PreparedDataset.open(tmp_path / "csv")
    for split in (data.train(), data.val(), data.open_test()):
        for image, label, source in zip(split.images, split.labels, split.sources, strict=True):
            prefix = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}[split.name]
            folder = tmp_path / "folders" / ("train" if split.name == "train" else "test") / card.classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(folder / f"{prefix}_{int(source.split(':')[1]):05d}.png")
    again = prepare(tmp_path / "folders", tmp_path / "again")
    assert again.counts == card.counts
    np.testing.assert_array_equal(PreparedDataset.open(tmp_path / "again").train().images, data.train().images)


def test_same_input_and_seed_give_the_same_dataset(folders, tmp_path):
    cards = [prepare(folders, tmp_path / str(i), splits=SplitOptions(seed=seed)) for i, seed in enumerate((4, 4, 5))]
    assert cards[0].content_hash == cards[1].content_hash != cards[2].content_hash


def test_validation_share(folders, tmp_path):
    assert prepare(folders, tmp_path / "out", splits=SplitOptions(val_fraction=0.3)).images("val") == 21


def test_image_of_test_is_dropped_from_training(folders, tmp_path):
    leak(folders)
    card = prepare(folders, tmp_path / "out")
    data = PreparedDataset.open(tmp_path / "out")
    assert "train/sad/Training_999999.png" not in data.train().sources + data.val().sources
    assert card.images("test") == 35
    assert card.hygiene["test_with_twin_in_train_or_val"] == 1
    assert "Training_999999" in (tmp_path / "out" / "hygiene.csv").read_text()


def test_keep_duplicates(folders, tmp_path):
    leak(folders)
    prepare(folders, tmp_path / "out", keep_duplicates=True)
    data = PreparedDataset.open(tmp_path / "out")
    assert "train/sad/Training_999999.png" in data.train().sources + data.val().sources


def test_unreadable_images_stop_with_a_list_and_leave_nothing(folders, tmp_path):
    files = sorted((folders / "train" / "fear").iterdir())
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:200])
    with pytest.raises(UserError) as caught:
        prepare(folders, tmp_path / "out")
    message = str(caught.value)
    assert "2 of 105 images cannot be read" in message
    assert "--skip-unreadable" in message
    assert f"train/fear/{files[0].name}: empty file" in message
    assert f"train/fear/{files[1].name}: " in message
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["fer2013"]


def test_skip_unreadable_leaves_them_out_and_counts_them(folders, tmp_path):
    file = sorted((folders / "train" / "fear").iterdir())[0]
    file.write_bytes(b"")
    card = prepare(folders, tmp_path / "out", skip_unreadable=True)
    assert card.images("train") + card.images("val") == 69
    for field in ("unreadable", "zero_bytes"):
        assert sum(facts[field] for facts in card.hygiene["splits"].values()) == 1
    assert file.name in (tmp_path / "out" / "hygiene.csv").read_text()


def test_faulty_csv_row_stops_with_file_and_line(tmp_path):
    file = draw_fer2013_csv(tmp_path / "fer2013.csv", 2)
    lines = file.read_text().splitlines()
    lines[4] = lines[4][:1000]
    lines[6] = lines[6].replace(" ", " 999 ", 1)
    file.write_text("\n".join(lines))
    with pytest.raises(
        UserError, match=r"(?s)2 of 42 images.*fer2013\.csv:5: truncated row.*fer2013\.csv:7: 2305 pixel"
    ):
        prepare(file, tmp_path / "out")
    assert prepare(file, tmp_path / "out", skip_unreadable=True).images("train") == 12


def test_csv_with_no_usable_row(tmp_path):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n9,1 2,Training\n")
    with pytest.raises(UserError, match=r"fer2013\.csv:2: unknown emotion '9'"):
        prepare(tmp_path / "fer2013.csv", tmp_path / "out", skip_unreadable=True)


def test_resizing_is_antialiased(folders, tmp_path):
    card = prepare(folders, tmp_path / "out", size=24)
    assert card.shape == (24, 24, 1)
    data = PreparedDataset.open(tmp_path / "out")
    full = np.asarray(Image.open(folders / data.train().sources[0])).astype(float)
    halves = full.reshape(24, 2, 24, 2).mean(axis=(1, 3))  # every pixel of a half-size image stands for four
    picked = full[::2, ::2]
    small = data.train().images[0, ..., 0].astype(float)
    assert np.abs(small - halves).mean() < np.abs(small - picked).mean() / 2


def test_image_of_another_size_is_named_and_size_is_the_cure(folders, tmp_path):
    file = sorted((folders / "train" / "sad").iterdir())[-1]
    Image.new("L", (50, 40)).save(file)
    with pytest.raises(UserError, match=rf"{file.name}: image of 50x40 grey.*48x48 grey.*--size"):
        prepare(folders, tmp_path / "out")
    assert prepare(folders, tmp_path / "out", size=48).images("train") == 63


@pytest.mark.parametrize("size", [0, 7, 1025])
def test_size_out_of_bounds(folders, tmp_path, size):
    with pytest.raises(UserError, match="between 8 and 1024"):
        prepare(folders, tmp_path / "out", size=size)


def test_format_can_be_forced_and_unknown_ones_are_hinted(folders, tmp_path):
    draw_fer2013_csv(folders / "fer2013.csv", 2)
    with pytest.raises(UserError, match=r"(?s)several ways.*--format fer2013-csv: .*--format fer2013-folders: "):
        prepare(folders, tmp_path / "a")
    assert prepare(folders, tmp_path / "a", format_name="fer2013-csv").images("train") == 14
    assert prepare(folders, tmp_path / "b", format_name="fer2013-folders").images("train") == 63
    with pytest.raises(UserError, match="did you mean 'fer2013-folders'"):
        prepare(folders, tmp_path / "c", format_name="fer2013-folder")
    with pytest.raises(UserError, match="no such file"):
        prepare(tmp_path / "nowhere", tmp_path / "c")


def test_taken_out_is_refused_before_reading(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("")
    with pytest.raises(UserError, match="exists already"):
        prepare(tmp_path / "not even there", tmp_path / "out")


def test_out_that_cannot_be_written(folders, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        prepare(folders, tmp_path / "file" / "out")


def test_progress_reaches_the_total(folders, tmp_path):
    seen = []
    prepare(folders, tmp_path / "out", progress=lambda stage, done, total: seen.append((stage, done, total)))
    assert seen[:105] == [("reading", i, 105) for i in range(1, 106)]
    assert {stage for stage, _, _ in seen[105:]} == {"comparing"}
    assert seen[-1][1] == seen[-1][2]


def test_split_of_which_nothing_is_left_is_told(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer2013", 2, private=True)
    for file in (root / "test").rglob("PublicTest_*"):
        (twin,) = (root / "test" / file.parent.name).glob("PrivateTest_*")
        shutil.copy(twin, file)
    with pytest.raises(UserError, match=r"nothing is left of val: of 7 images 7 also in test and 0 unreadable were"):
        prepare(root, tmp_path / "out")
    assert prepare(root, tmp_path / "out", keep_duplicates=True).images("val") == 7
