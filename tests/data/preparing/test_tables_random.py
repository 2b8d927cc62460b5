"""Tables drawn at random: names and order of columns, separators, splits, people; every row is found as drawn."""

from __future__ import annotations

import tempfile
from pathlib import Path

from data.preparing.conftest import sides
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wild import EIGHT, Pen, table

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.prepare import prepare

PATHS = ("path", "file_name", "Image Name", "pth", "img_path", "FILE")
LABELS = ("label", "Emotion", "expression", "CLASS", "emotion_label", "Target")
SPLITS = ("split", "Usage", "subset", "Set")
GROUPS = ("subject", "Person ID", "participant", "actor_id")
OTHERS = ("Unnamed: 0", "valence", "relFCs", "notes", "age")
WORDS = {
    "train": ("train", "Training", "TRAIN"),
    "val": ("val", "PublicTest", "Validation"),
    "test": ("test", "PrivateTest"),
}


@st.composite
def tables(draw):
    """Draw what the columns are called, in which order, and the rows."""
    emotions = draw(st.lists(st.sampled_from(EIGHT), min_size=2, max_size=4, unique=True))
    names = {"path": draw(st.sampled_from(PATHS)), "label": draw(st.sampled_from(LABELS))}
    parts = draw(st.sampled_from([(), ("train", "test"), ("train", "val", "test")]))
    if parts:
        names["split"] = draw(st.sampled_from(SPLITS))
    if people := draw(st.booleans()):
        names["group"] = draw(st.sampled_from(GROUPS))
    for number, other in enumerate(draw(st.lists(st.sampled_from(OTHERS), max_size=3, unique=True))):
        names[f"other{number}"] = other
    words = {part: draw(st.sampled_from(WORDS[part])) for part in parts}
    rows, person = [], 0
    for part in parts or ("",):
        for _ in range(draw(st.integers(3, 4))):
            person += 1
            for emotion in emotions:
                for _ in range(3):
                    label = draw(st.sampled_from([emotion, emotion.upper(), emotion.title()]))
                    rows.append((label, words.get(part, ""), f"somebody {person}", part, emotion))
    order = draw(st.permutations(list(names)))
    return names, order, rows, people, draw(st.sampled_from([",", ";", "\t"])), draw(st.booleans())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables())
def test_any_table_is_read_as_it_was_drawn(drawn):
    names, order, rows, people, separator, beside = drawn
    with tempfile.TemporaryDirectory() as temporary:
        root, pen = Path(temporary, "given"), Pen()
        written = []
        for number, (label, word, person, _, _) in enumerate(rows):
            pen.image(root / "images" / f"{number}.png")
            path = f"{number}.png" if beside else f"images\\{number}.png"
            values = {"path": path, "label": label, "split": word, "group": person}
            written.append([values.get(role, "0.5") for role in order])
        file = table(root / "faces.csv", separator.join(names[role] for role in order), written, separator)
        card = prepare(file, Path(temporary, "out"))
        data = PreparedDataset.open(Path(temporary, "out"))
        splits = {split.name: split for split in (data.train(), data.val(), data.open_test())}
        seen = set()
        for split in splits.values():
            for source, label, group in zip(split.sources, split.labels, split.groups, strict=True):
                number = int(Path(source).stem)
                seen.add(number)
                _, _, person, part, emotion = rows[number]
                assert card.classes[label] == emotion
                assert group == (person if people else "")
                assert part in ("", split.name) or (part, split.name) == ("train", "val")
        assert seen == set(range(len(rows)))
        assert card.hygiene["ignored"] == []
        if people:
            assert all(len(places) == 1 for places in sides(splits).values())
