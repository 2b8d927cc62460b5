"""Layouts drawn at random: splits, spellings, people, nesting, junk; the emotions drawn are found and all adds up."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from data.preparing.conftest import sides
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wild import EIGHT, Pen

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.prepare import prepare

SPELLINGS = {
    "angry": ("anger", "Angry", "0_angry", "ANGER"),
    "contempt": ("contempt", "Contempt", "7 contempt"),
    "disgust": ("disgust", "Disgusted", "1-disgust"),
    "fear": ("fear", "Fearful", "AFRAID"),
    "happy": ("happy", "Joy", "Happiness", "happy faces"),
    "neutral": ("neutral", "Neutral", "NEUTRAL"),
    "sad": ("sad", "Sadness", "05_sad"),
    "surprise": ("surprise", "Surprised", "suprise"),
}
SPLITS = {
    "train": ("train", "Training", "train_set", "TRAIN", "01-train"),
    "val": ("val", "Valid", "validation_set", "dev"),
    "test": ("test", "Testing", "test_set", "TEST", "holdout"),
}
PEOPLE = ("P{:03}", "subject {}", "s{:02}", "person_{}", "S{:03}")
JUNK = (
    "Thumbs.db", "notes.txt", ".DS_Store", "{}/._face.png", "__MACOSX/{}/1.png", "{}/@eaDir/1.png", "{}/desktop.ini",
    "{}/more.csv", "old stuff/1.png", "{}/labels.txt",
)  # fmt: skip
WRAPPERS = ("", "archive", "archive/faces", "Data Set/images")


@st.composite
def layouts(draw):
    """Draw split -> person -> emotion -> (folder, images), and the junk beside."""
    emotions = draw(st.lists(st.sampled_from(EIGHT), min_size=2, max_size=5, unique=True))
    splits = draw(st.sampled_from([("",), ("train", "test"), ("train", "val", "test"), ("train", "val"), ("train",)]))
    names = {split: draw(st.sampled_from(SPLITS[split])) if split else "" for split in splits}
    pattern = draw(st.sampled_from(PEOPLE)) if draw(st.booleans()) else ""
    above = draw(st.booleans())  # people above the emotions, or below
    folders, person = [], 0
    for split in splits:
        spelt = {emotion: draw(st.sampled_from(SPELLINGS[emotion])) for emotion in emotions}
        count = draw(st.integers(3, 5)) if pattern else 1
        for _ in range(count):
            person += 1
            for emotion in emotions:
                who = pattern.format(person) if pattern else ""
                levels = [names[split], who, spelt[emotion]] if above else [names[split], spelt[emotion], who]
                folders.append(("/".join(filter(None, levels)), emotion, who, 2 if pattern else 5))
    beside_emotions = not names[splits[0]] and not (pattern and above)
    known = [name for name in JUNK if not (beside_emotions and name.startswith("old"))]  # there it would be a class
    junk = draw(st.lists(st.sampled_from(known), max_size=4, unique=True))
    return draw(st.sampled_from(WRAPPERS)), folders, junk


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layouts())
def test_any_layout_is_read_as_it_was_drawn(layout):
    wrapper, folders, junk = layout
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary, "given")
        root = top / wrapper
        drawn, pen = {}, Pen()
        for folder, emotion, who, count in folders:
            for number in range(count):
                drawn[pen.image(root / folder / f"{number}.png")] = (emotion, who)
        for name in junk:
            file = root / name.format(folders[0][0])
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".png":
                pen.image(file)
            else:
                file.write_text("epoch,loss\n1,2\n")
        card = prepare(top, Path(temporary, "out"))
        data = PreparedDataset.open(Path(temporary, "out"))
        splits = {split.name: split for split in (data.train(), data.val(), data.open_test())}

        assert set(card.classes) == {emotion for emotion, _ in drawn.values()}
        found = {}
        for split in splits.values():
            for source, label, group in zip(split.sources, split.labels, split.groups, strict=True):
                (path,) = [path for path in drawn if path.as_posix().endswith("/" + source)]
                assert path not in found
                found[path] = card.classes[label]
                assert group == drawn[path][1]
        assert found == {path: emotion for path, (emotion, _) in drawn.items()}
        if any(who for _, who in drawn.values()):
            assert all(len(places) == 1 for places in sides(splits).values())
        assert sum(Counter(card.counts[split]).total() for split in card.counts) == len(drawn)
        told = " ".join(card.hygiene["ignored"])
        for name in junk:
            plain = (
                "._*"
                if "._" in name
                else next(w for w in ("__MACOSX", "@eaDir", "old stuff", Path(name).name) if w in name)
            )
            assert plain in told or f"*{Path(name).suffix}" in told
        if not junk:
            assert card.hygiene["ignored"] == []
