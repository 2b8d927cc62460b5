"""What ``fer-tune data prepare`` says and does of its options about layouts, people, classes and shapes."""

import re

import pytest
from raw_trees import draw_tree
from typer.testing import CliRunner
from wild import SEVEN, Pen, ck48, ferplus, kdef, table

from fer_tune.cli.data import app
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.readers import READERS
from fer_tune.errors import UserError


def run(*arguments):
    """Run ``fer-tune data ...``; return what it printed, let a UserError through."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_help_names_every_option_and_an_unknown_format_lists_all(tmp_path):
    text = re.sub(r"[\s│]+", " ", run("prepare", "--help"))
    for option in ("--dry-run", "--columns", "--classes", "--fit", "--group", "--split"):
        assert option in text
    with pytest.raises(UserError, match=r"--format \?: no such format; the formats are") as caught:
        run("prepare", tmp_path, "--dry-run", "--format", "?")
    for reader in READERS:
        assert re.search(rf"\b{re.escape(reader.FORMAT)}\b", str(caught.value)), reader.FORMAT


def test_dry_run_tells_all_and_writes_nothing(tmp_path):
    root = ck48(tmp_path / "CK+48")
    (root / "Thumbs.db").write_text("")
    draw_tree(root, {"extras/old": 3}, channels=1)
    before = sorted(tmp_path.rglob("*"))
    text = run("prepare", root, "--dry-run")
    assert sorted(tmp_path.rglob("*")) == before
    for told in (
        "ckplus: 48x48 grey",
        "source: ck48",
        "the test is S01",
        "people: each stands on one side; they are told by the file names",
        "ignored: folder extras (3 images); Thumbs.db (1)",
        "near-duplicates",
        "nothing is written (--dry-run)",
    ):
        assert told in text
    assert run("prepare", root, "--dry-run", "--out", tmp_path / "out").endswith("nothing is written (--dry-run)\n")
    assert not (tmp_path / "out").exists()


def test_out_is_needed_otherwise(tmp_path):
    with pytest.raises(UserError, match=r"--out: missing; name the folder .* or look first with --dry-run"):
        run("prepare", ck48(tmp_path / "CK+48"))


def test_warnings_stand_above(tmp_path):
    text = run("prepare", ferplus(tmp_path / "FERPlus", 1), "--dry-run")
    assert "left out: 9 of 33 images" in text
    root = draw_tree(
        tmp_path / "faces", {"train/happy": 9, "train/sad": 9, "train/fear": 9, "test/sad": 3, "test/happy": 3}
    )
    text = run("prepare", root, "--dry-run")
    assert "WARNING: test has no image of fear: they do not count in figures of test" in text
    assert text.index("WARNING") < text.index("splits:")


def test_what_can_be_predicted_is_named(tmp_path):
    root = draw_tree(tmp_path / "faces", {"train/happy": 9, "train/sad": 9, "test": 3})
    assert "without labels: test; not read, `fer-tune predict` takes it" in run("prepare", root, "--dry-run")


def test_fit(tmp_path):
    root = kdef(tmp_path / "KDEF")
    for fit in ("pad", "crop", "stretch"):
        assert "kdef: 32x32 RGB" in run("prepare", root, "--out", tmp_path / fit, "--size", "32", "--fit", fit)
    data = {fit: PreparedDataset.open(tmp_path / fit).train() for fit in ("pad", "crop", "stretch")}
    black = {fit: (split.images[:, :, :3] == 0).all() for fit, split in data.items()}
    assert black == {"pad": True, "crop": False, "stretch": False}
    assert len({split.images.tobytes() for split in data.values()}) == 3
    assert "kdef: 28x38 RGB" in run("prepare", root, "--dry-run")


def test_classes_and_columns(tmp_path):
    pen, rows = Pen(), []
    for number in range(70):
        pen.image(tmp_path / "faces" / f"{number}.png")
        rows.append((f"{number}.png", number % 7))
    file = table(tmp_path / "faces" / "list.csv", "a,b", rows)
    names = ",".join(f"{code}={name}" for code, name in enumerate(SEVEN[:-1]))
    columns = ("--columns", "path=a", "--columns", "label=b")
    text = run("prepare", file, "--dry-run", *columns, "--classes", names, "--classes", "6=")
    assert "class dropped (--classes): 6, 10 images" in text
    assert "surprise" not in text
    assert re.search(r"sad\s+│\s+6 │\s+2 │\s+2", text)


def test_split_by_character_divides_anew(tmp_path):
    folders = {
        f"{split}/P{person:03d}/{name}": 2
        for split in ("train", "test")
        for person in range(9)
        for name in ("happy", "sad")
    }
    root = draw_tree(tmp_path / "faces", folders)
    with pytest.raises(UserError, match="--split character puts the published parts together"):
        run("prepare", root, "--dry-run")
    assert "the test is P00" in run("prepare", root, "--dry-run", "--split", "character")
