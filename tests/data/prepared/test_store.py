import errno
import json
import os
import pickle
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from drawing import EMOTIONS, tiny_dataset

from fer_tune.data.prepared.folds import read_folds
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.prepared.writer import Record, write_dataset
from fer_tune.errors import UserError


def some_records(rng, count=9, shape=(5, 4, 3)):
    return [Record(rng.integers(0, 256, shape, np.uint8), int(i % 7), f"s/{i} é", f"g{i % 3}") for i in range(count)]


def write(out, records, **more):
    return write_dataset(out, records, name="some", source="a test", classes=EMOTIONS, **more)


@pytest.fixture
def dataset(tmp_path):
    tiny_dataset(tmp_path / "tiny", n_train=70, n_val=14, n_test=14, size=12)
    return tmp_path / "tiny"


def flip_a_pixel(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def test_what_is_written_is_read_back(tmp_path):
    rng = np.random.default_rng(0)
    records = {split: some_records(rng) for split in ("train", "val", "test")}
    write(tmp_path / "out", records, splits={"policy": "drawn"}, hygiene={"notes": []})
    data = PreparedDataset.open(tmp_path / "out")
    for name, split in (("train", data.train()), ("val", data.val()), ("test", data.open_test())):
        assert split.name == name
        assert len(split) == 9
        np.testing.assert_array_equal(split.images, np.stack([record.image for record in records[name]]))
        assert split.labels.tolist() == [record.label for record in records[name]]
        assert split.sources == [record.source for record in records[name]]
        assert split.groups == [record.group for record in records[name]]
    assert split.labels.dtype == np.int64
    assert data.card.splits == {"policy": "drawn"}
    assert data.card.counts["val"]["angry"] == 2
    assert data.card.images("val") == 9


def test_card_has_mean_and_deviation_of_train(tmp_path):
    rng = np.random.default_rng(1)
    records = {split: some_records(rng) for split in ("train", "val", "test")}
    card = write(tmp_path / "out", records)
    train = np.stack([record.image for record in records["train"]]) / 255
    np.testing.assert_allclose(card.pixel_mean, train.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(card.pixel_std, train.std(axis=(0, 1, 2)))


def test_images_are_a_read_only_view_of_the_file(dataset):
    split = PreparedDataset.open(dataset).train()
    assert not split.images.flags.owndata
    assert split.images.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        split.images[0] = 0
    with open("/proc/self/maps") as maps:
        assert str(dataset / "train.arrow") in maps.read()


def test_pickling_a_split_reopens_the_map_instead_of_copying_pixels(tmp_path):
    tiny_dataset(tmp_path / "tiny", n_train=350, n_val=7, n_test=7)
    split = PreparedDataset.open(tmp_path / "tiny").train()
    packed = pickle.dumps(split)
    assert len(packed) < split.images.nbytes / 20
    np.testing.assert_array_equal(pickle.loads(packed).images, split.images)


def test_same_content_has_the_same_hash_and_other_content_another(tmp_path):
    first = tiny_dataset(tmp_path / "a", n_train=14, n_val=7, n_test=7)
    again = tiny_dataset(tmp_path / "b", n_train=14, n_val=7, n_test=7)
    other = tiny_dataset(tmp_path / "c", n_train=14, n_val=7, n_test=7, seed=1)
    assert first.content_hash == again.content_hash != other.content_hash


def test_opening_what_is_no_dataset_says_what_was_looked_for(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"dataset\.json.*train\.arrow.*fer-tune data prepare"):
            PreparedDataset.open(path)


def test_newer_format_is_refused(dataset):
    card = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps({**card, "format_version": 99, "new_field": 1}))
    with pytest.raises(UserError, match="format 99 by a newer fer-tune"):
        PreparedDataset.open(dataset)


@pytest.mark.parametrize("damage", ["{", "[]", '{"format_version": 1}'])
def test_damaged_card_is_refused(dataset, damage):
    (dataset / "dataset.json").write_text(damage)
    with pytest.raises(UserError, match=r"dataset\.json: .*prepare the dataset again"):
        PreparedDataset.open(dataset)


def test_card_edited_by_hand_is_refused(dataset):
    card = json.loads((dataset / "dataset.json").read_text())
    card["classes"][:2] = reversed(card["classes"][:2])
    (dataset / "dataset.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="content hash"):
        PreparedDataset.open(dataset)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_missing_and_truncated_files_are_refused_on_opening(dataset, split):
    file = dataset / f"{split}.arrow"
    content = file.read_bytes()
    file.write_bytes(content[:-100])
    with pytest.raises(UserError, match=rf"{split}\.arrow: damaged: {len(content) - 100} bytes"):
        PreparedDataset.open(dataset)
    file.unlink()
    with pytest.raises(UserError, match=rf"{split}\.arrow: missing"):
        PreparedDataset.open(dataset)


def test_file_that_is_no_arrow_file_is_refused(dataset):
    file = dataset / "val.arrow"
    file.write_bytes(b"x" * file.stat().st_size)
    data = PreparedDataset.open(dataset)
    with pytest.raises(UserError, match=r"val\.arrow: damaged: not a readable Arrow file"):
        data.val()


def test_verify_finds_a_changed_pixel(dataset):
    data = PreparedDataset.open(dataset)
    data.verify()
    flip_a_pixel(dataset / "train.arrow")
    with pytest.raises(UserError, match=r"train\.arrow: damaged: its content does not fit"):
        PreparedDataset.open(dataset).verify()


def test_only_open_test_reads_the_held_out_split(dataset):
    flip_a_pixel(dataset / "test.arrow")
    data = PreparedDataset.open(dataset)
    data.train(), data.val(), data.verify()
    with pytest.raises(UserError, match=r"test\.arrow: damaged"):
        data.open_test()


def test_failure_midway_leaves_nothing(tmp_path):
    def breaks():
        yield from some_records(np.random.default_rng(0))
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        write(tmp_path / "out", {"train": breaks()})
    assert list(tmp_path.iterdir()) == []


def megabytes(field):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def test_writing_does_not_hold_the_images_in_memory(tmp_path):
    face = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)

    def stream(split, count):
        yield from (Record(np.roll(face, i), i % 7, f"{split}/{i}") for i in range(count))

    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from what is resident now
    except OSError:
        pytest.skip("this system does not tell the peak of a process's memory")
    before = megabytes("VmRSS")
    card = write(tmp_path / "out", {"train": stream("train", 400), "val": stream("val", 7), "test": stream("test", 7)})
    assert card.split_bytes["train"] > 75 * 2**20
    assert megabytes("VmHWM") - before < 35
    np.testing.assert_array_equal(PreparedDataset.open(tmp_path / "out").train().images[399], np.roll(face, 399))
    PreparedDataset.open(tmp_path / "out").verify()


@contextmanager
def largest_file(size):
    """Let no file of this process grow beyond ``size`` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [-10_000, 100], ids=["while images are staged", "while the Arrow file is written"])
def test_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path, room):
    records = some_records(np.random.default_rng(0), 50, (48, 48))
    with largest_file(50 * 48 * 48 + room), pytest.raises(UserError, match=r"while writing; nothing is left of it"):
        write(tmp_path / "out", {"train": records, "val": records, "test": records})
    assert list(tmp_path.iterdir()) == []


def test_taken_name_is_refused_and_kept(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="exists already; choose another --out"):
        tiny_dataset(tmp_path / "out", n_train=7, n_val=7, n_test=7)
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_empty_folder_may_be_named(tmp_path):
    (tmp_path / "out").mkdir()
    tiny_dataset(tmp_path / "out", n_train=7, n_val=7, n_test=7)
    assert len(PreparedDataset.open(tmp_path / "out").train()) == 7


def test_images_of_two_sizes_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    mixed = [*some_records(rng, 1, (4, 4)), *some_records(rng, 1, (4, 6))]
    with pytest.raises(UserError, match=r"s/0 é: image of 6x4 grey, but those before it are 4x4 grey.*--size"):
        write(tmp_path / "out", {"train": mixed})


def test_empty_split_is_refused(tmp_path):
    records = some_records(np.random.default_rng(0))
    with pytest.raises(UserError, match="no images for val"):
        write(tmp_path / "out", {"train": records, "val": [], "test": records})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", [-1, 7])
def test_label_outside_the_classes_is_refused(tmp_path, label):
    with pytest.raises(ValueError, match=f"label {label} of 7 classes"):
        write(tmp_path / "out", {"train": [Record(np.zeros((3, 3), np.uint8), label, "a")]})


@pytest.mark.parametrize("refused", ["dataset.json", "train.arrow"])
def test_a_dataset_that_may_not_be_read_is_not_called_damaged(dataset, monkeypatch, refused):
    """As root everything may be read, so the refusal is made up."""
    read = Path.read_bytes

    def refuse(file: Path) -> bytes:
        if file.name == refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return read(file)

    def unmapped(file: str) -> None:
        raise OSError("no mapping here")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(pa, "memory_map", unmapped)
    with pytest.raises(UserError, match=rf"{refused}: may not be read \(Permission denied\); have its owner allow it"):
        PreparedDataset.open(dataset).train()


def test_a_folder_that_may_not_be_entered_is_told(tmp_path, monkeypatch):
    def refuse(file: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))

    monkeypatch.setattr(Path, "is_file", refuse)
    cure = rf"may not be read \(Permission denied\); .*`chmod -R a\+rX {tmp_path}`"
    for read in (PreparedDataset.open, read_folds):
        with pytest.raises(UserError, match=cure):
            read(tmp_path)
