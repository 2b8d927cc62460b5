"""Levels of folders in any order, with emotions among them or not: read as they are meant, or refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

from data.preparing.conftest import sides
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wild import EIGHT, Pen, grown

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.prepare import prepare
from fer_tune.errors import UserError

LEVELS = {
    "split": ("train", "val", "test"),
    "person": ("P001", "P002", "P003", "P004"),
    "session": ("session1", "session2"),
    "lighting": ("Dark", "Strong", "Weak"),
    "camera": ("NI", "VL"),
    "angle": ("left", "right", "straight"),
}


@st.composite
def trees(draw):
    """Draw the kinds of level from the top, the names on each, and how files are called."""
    emotions = tuple(draw(st.lists(st.sampled_from(EIGHT), min_size=2, max_size=3, unique=True)))
    others = draw(st.lists(st.sampled_from(list(LEVELS)), max_size=3, unique=True))
    kinds = draw(st.permutations([*others, *(["emotion"] if draw(st.booleans()) else [])]))
    names = [emotions if kind == "emotion" else LEVELS[kind] for kind in kinds]
    return kinds, names, draw(st.sampled_from(["{}.png", "img_{}.jpg", "frame{:04}.png"]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees())
def test_levels_are_read_as_meant_or_refused(drawn):
    kinds, names, pattern = drawn
    with tempfile.TemporaryDirectory() as temporary:
        root, pen = Path(temporary, "faces"), Pen()
        root.mkdir()
        for folder in grown(*names):
            pen.images(root / folder, 2, pattern)
        refused, card = "", None
        try:
            card = prepare(root, Path(temporary, "out"))
        except UserError as error:
            refused = str(error)
        if card is None:
            assert str(root) in refused or "--" in refused  # the place, or an option that is the cure
            return
        assert "emotion" in kinds, f"classes {card.classes} out of {kinds}"
        at = kinds.index("emotion")
        assert set(card.classes) == set(names[at])
        data = PreparedDataset.open(Path(temporary, "out"))
        splits = {split.name: split for split in (data.train(), data.val(), data.open_test())}
        for split in splits.values():
            for source, label, group in zip(split.sources, split.labels, split.groups, strict=True):
                parts = source.split("/")
                assert parts[at] == card.classes[label]
                if "split" in kinds:
                    given_part = parts[kinds.index("split")]
                    assert split.name == given_part or card.splits.get("split") == "character"
                if group and "person" in kinds:
                    assert group == parts[kinds.index("person")]
        if "person" in kinds and any(sides(splits)):
            assert all(len(places) == 1 for places in sides(splits).values())
