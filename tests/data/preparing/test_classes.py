import pytest
from raw_trees import draw_tree
from wild import Pen, ferplus, table

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


def test_merged_classes_may_have_the_most_votes(tmp_path, prepared):
    def row(number, happy, angry, disgust, sad):
        return (f"{number}.png", happy, angry, disgust, sad)

    Pen().images(tmp_path / "faces", 40)
    votes = [(9, 1, 0, 0), (0, 9, 1, 0), (1, 0, 9, 0), (0, 0, 1, 9)]
    plain = [row(n, *votes[n % 4]) for n in range(36)]
    turned = [row(36, 4, 3, 3, 0), row(37, 4, 3, 3, 0), row(38, 4, 2, 2, 2), row(39, 4, 2, 2, 2)]
    table(tmp_path / "faces" / "labels.csv", "file,happiness,anger,disgust,sadness", [*plain, *turned])
    card, splits = prepared(tmp_path / "faces", classes={"disgust": "angry"})
    found = {
        source: card.classes[label]
        for split in splits.values()
        for source, label in zip(split.sources, split.labels, strict=True)
    }
    assert len(found) == 38
    assert found["36.png"] == found["37.png"] == "angry"  # six to four
    assert "38.png" not in found  # four to four
    assert "left out: 2 images, undecided once classes are merged (--classes)" in card.hygiene["notes"]
    assert not card.hygiene["ignored"]
