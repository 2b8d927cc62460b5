"""`extends`: shared parts stand once, the file's own values win, and every fault keeps its own file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_tune.errors import UserError
from fer_tune.search.spaces.loading import check_space, load_space

BASE = """\
search:
  learning_rate: {log_uniform: [1e-4, 1e-2]}
  batch_size: {choice: [32, 64]}
  optimizer: {choice: [adamw, sgd]}
  momentum: {uniform: [0.8, 0.98], when: {optimizer: sgd}}
fixed:
  augmentation: 0.5
  schedule: cosine
"""

CHILD = """\
backbone: cnn_residual
extends: base.yaml
search:
  batch_size: {choice: [8, 16]}
  augmentation: {uniform: [0, 1]}
fixed:
  label_smoothing: 0.1
"""


def write(folder: Path, **files: str) -> Path:
    """Write `name=text` as name.yaml; return the last."""
    for name, text in files.items():
        folder.joinpath(f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{name}.yaml"


def faults(file: Path) -> list[str]:
    return check_space(file, against_model=False).faults.messages()


def test_own_values_win_and_keep_the_order_of_the_base(tmp_path: Path) -> None:
    space = load_space(write(tmp_path, base=BASE, child=CHILD), against_model=False)
    assert list(space.parameters) == ["learning_rate", "batch_size", "optimizer", "momentum", "augmentation"]
    assert space.parameters["batch_size"].values == (8, 16)
    assert space.parameters["learning_rate"].values == (1e-4, 1e-2)
    assert space.fixed == {"schedule": "cosine", "label_smoothing": 0.1}  # augmentation is searched here


def test_what_is_fixed_here_is_not_searched_there(tmp_path: Path) -> None:
    text = CHILD.replace("label_smoothing: 0.1", "optimizer: adamw").replace("search:", "without: [momentum]\nsearch:")
    space = load_space(write(tmp_path, base=BASE, child=text), against_model=False)
    assert list(space.parameters) == ["learning_rate", "batch_size", "augmentation"]
    assert space.fixed["optimizer"] == "adamw"


def test_of_several_the_later_wins_and_they_may_extend_others(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        base=BASE,
        middle="extends: base\nsearch:\n  batch_size: {choice: [1, 2]}\n",
        other="search:\n  drop_rate: {uniform: [0, 0.5]}\n  learning_rate: {log_uniform: [0.1, 0.2]}\n",
        child="backbone: cnn_residual\nextends: [middle.yaml, other.yaml]\n",
    )
    space = load_space(file, against_model=False)
    assert space.parameters["batch_size"].values == (1, 2)
    assert space.parameters["learning_rate"].values == (0.1, 0.2)
    assert {"drop_rate", "momentum"} <= space.parameters.keys()


def test_a_space_of_ones_own_may_extend_a_shipped_one(tmp_path: Path) -> None:
    shipped = load_space("cnn_simpler", against_model=False)
    text = "extends: cnn_simpler\nsearch:\n  batch_size: {choice: [8, 16]}\n"
    own = load_space(write(tmp_path, mine=text), against_model=False)
    assert own.parameters["batch_size"].values == (8, 16)
    assert own.published == shipped.published
    assert own.about == shipped.about
    other = load_space(write(tmp_path, mine=f"backbone: cnn_separable\n{text}"), against_model=False)
    assert other.published == []  # they are of another backbone


def test_faults_keep_their_file_and_line(tmp_path: Path) -> None:
    base = BASE.replace("[32, 64]", "[32, 0]").replace("[0.8, 0.98]", "[0.8, 2]").replace("schedule", "shedule")
    child = CHILD.replace("  batch_size: {choice: [8, 16]}\n", "").replace("0.1", "1")
    file = write(tmp_path, base=base, child=child)
    told = [fault.split(": ")[:2] for fault in faults(file)]
    assert told == [
        [f"{file}:6", "fixed.label_smoothing"],
        [f"{tmp_path}/base.yaml:3", "search.batch_size.choice.1"],
        [f"{tmp_path}/base.yaml:5", "search.momentum.uniform.1"],
        [f"{tmp_path}/base.yaml:8", "fixed.shedule"],
    ]


FAULTS = {
    "absent": ("extends: bsae.yaml", "extends: no such file: bsae.yaml, neither in"),
    "misspelt shipped one": ("extends: _common/finetun.yaml", "did you mean '_common/finetune.yaml'"),
    "outside": ("extends: ../../etc/passwd", "extends: no such file"),
    "no name": ("extends: 3", "extends: should name a file, but it is 3"),
    "itself": ("extends: child.yaml", "extends itself"),
    "left out in vain": ("extends: base.yaml\nwithout: [momentun]", "set no momentun; did you mean 'momentum'?"),
    "left out wrongly": ("extends: base.yaml\nwithout: momentum", "should be [setting, setting, ...]"),
}


@pytest.mark.parametrize(("lines", "what"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_extended_is_told(lines: str, what: str, tmp_path: Path) -> None:
    file = write(tmp_path, base=BASE, child=CHILD.replace("extends: base.yaml", lines))
    told = [fault for fault in faults(file) if what in fault]
    assert len(told) == 1
    assert told[0].startswith(f"{file}:{2 + lines.count(chr(10))}: ")


def test_yaml_that_is_broken_in_a_base_is_told_there(tmp_path: Path) -> None:
    file = write(tmp_path, base="search: [\n", child=CHILD)
    assert any(fault.startswith(f"{tmp_path}/base.yaml:2: not valid YAML") for fault in faults(file))
    with pytest.raises(UserError, match=r"base\.yaml:1: should hold `key: value` lines"):
        load_space(write(tmp_path, base="- 3\n", child=CHILD), against_model=False)


PAPER = """\
dataset: fer2013
source: a paper
config: {learning_rate: 1e-3, batch_size: 64, optimizer: adam, schedule: plateau}
chosen: {batch_size: not given, schedule: not given}
"""

ENTRIES = """\
published:
  - name: paper/first
    extends: paper.yaml
    config: {batch_size: 32}
    chosen: {batch_size: null}
    reported: {test_accuracy: 60}
  - name: paper/second
    extends: paper.yaml
    dataset: raf-db
"""


def test_a_published_entry_takes_what_its_paper_has_in_common(tmp_path: Path) -> None:
    child = CHILD.replace("  augmentation: {uniform: [0, 1]}\n", "")
    file = write(tmp_path, base=BASE, paper=PAPER, child=child + ENTRIES)
    first, second = load_space(file, against_model=False).published
    assert (first.config["batch_size"], second.config["batch_size"]) == (32, 64)
    assert first.config["learning_rate"] == 1e-3
    assert first.chosen == {"schedule": "not given"}  # null: this entry's value is the paper's own
    assert (first.dataset, second.dataset, second.source) == ("fer2013", "raf-db", "a paper")
    assert (first.reported, second.reported) == ({"test_accuracy": 60}, {})


def test_faults_of_a_shared_paper_stand_in_its_file(tmp_path: Path) -> None:
    child = CHILD.replace("  augmentation: {uniform: [0, 1]}\n", "")
    paper = PAPER.replace("1e-3", "11").replace("plateau", "platau")
    told = faults(write(tmp_path, base=BASE, paper=paper, child=child + ENTRIES))
    assert [fault.split(": ")[:2] for fault in told] == [
        [f"{tmp_path}/paper.yaml:3", f"published.{entry}.config.{field}"]
        for entry in (0, 1)
        for field in ("learning_rate", "schedule")
    ]
