import pytest
from raw_trees import draw_tree

from fer_tune.data.preparing.prepare import prepare
from fer_tune.errors import UserError


def test_sizes_that_differ_are_counted(tmp_path):
    root = draw_tree(tmp_path / "faces", {"happy": 10, "sad": 10})
    draw_tree(root, {"happy/more": 4}, size=(30, 40))
    with pytest.raises(UserError, match=r"images of 2 sizes \(20 of 20x20, 4 of 40x30\).*choose it with --size"):
        prepare(root, None, dry_run=True)
    assert prepare(root, None, dry_run=True, size=16).shape == (16, 16, 3)


def test_a_taken_out_is_refused_all_the_same(tmp_path):
    root = draw_tree(tmp_path / "faces", {"happy": 10, "sad": 10})
    with pytest.raises(UserError, match="exists already"):
        prepare(root, root, dry_run=True)


def test_out_may_be_left_out_only_then(tmp_path):
    with pytest.raises(UserError, match="--out: missing"):
        prepare(tmp_path, None)
