import pytest
from raw_trees import draw_tree
from wild import ferplus

from fer_tune.data.preparing.classes import parsed_classes
from fer_tune.errors import UserError


@pytest.fixture
def faces(tmp_path):
    return draw_tree(
        tmp_path / "faces",
        {f"{split}/{name}": 6 for split in ("train", "test") for name in ("bored", "joy", "sad", "contempt")},
    )


def test_classes_are_renamed_merged_and_dropped_and_it_is_told(faces, prepared):
    card, _ = prepared(faces, classes=parsed_classes(["bored=sleepy,contempt=", "happy=Joyful"]))
    assert card.classes == ["happy", "sad", "sleepy"]
    assert card.counts["test"] == {"happy": 6, "sad": 6, "sleepy": 6}
    assert "classes renamed or merged (--classes): bored to sleepy" in card.hygiene["notes"]
    assert "class dropped (--classes): contempt, 12 images" in card.hygiene["notes"]
    assert card.hygiene["ignored"] == []
    card, splits = prepared(faces, classes={"contempt": "bored"})
    assert card.counts["test"] == {"bored": 12, "happy": 6, "sad": 6}
    for source, label in zip(splits["test"].sources, splits["test"].labels, strict=True):
        assert card.classes[label] == {"joy": "happy", "contempt": "bored"}.get(
            source.split("/")[1], source.split("/")[1]
        )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["bored"], "--classes bored: write old=new, such as joy=happy, or old= to drop a class"),
        (["sad=a", "sad=b"], "says two things of sad"),
        (["=x"], "--classes =x: write old=new"),
    ],
)
def test_what_cannot_be_parsed(texts, message):
    with pytest.raises(UserError, match=message):
        parsed_classes(texts)


def test_unknown_classes_and_too_few(faces, prepared):
    with pytest.raises(UserError, match="--classes borde=x: no such class; did you mean 'bored'"):
        prepared(faces, classes={"borde": "x"})
    with pytest.raises(UserError, match="--classes: leaves sad; there must be two or more"):
        prepared(faces, classes={"bored": "", "happy": "", "contempt": ""})


def test_votes_follow_their_classes(tmp_path, prepared):
    root = ferplus(tmp_path / "FERPlus", 2)
    card, splits = prepared(root, classes={"contempt": "", "disgust": "angry"})
    assert card.classes == ["angry", "fear", "happy", "neutral", "sad", "surprise"]
    votes = splits["train"].votes
    assert votes.shape == (14, 6)
    assert (votes.argmax(axis=1) == splits["train"].labels).all()
    angry = votes[splits["train"].labels == 0, 0]
    assert sorted(angry.tolist()) == [7, 7, 10, 10]  # seven for anger and three for disgust are ten for both
