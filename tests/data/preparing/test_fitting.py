import numpy as np
import pytest
from raw_trees import draw_tree

from fer_tune.data.preparing.fitting import fitted
from fer_tune.errors import UserError


def tall():
    """Return an image of 20 rows and 10 columns: white, with a black square of 10 in the middle."""
    image = np.full((20, 10), 255, np.uint8)
    image[5:15] = 0
    return image


def test_pad_keeps_the_whole_and_its_shape():
    image = fitted(np.where(tall() == 0, 128, tall()).astype(np.uint8), 20, 20, "pad")
    assert image.shape == (20, 20)
    assert (image[:, :5] == 0).all()
    assert (image[:, 15:] == 0).all()
    assert (image[6:14, 5:15] == 128).all()


def test_crop_keeps_the_middle_and_its_shape():
    assert (fitted(tall(), 10, 10, "crop") == 0).all()


def test_stretch_squashes():
    image = fitted(tall(), 10, 10, "stretch")
    assert (image[4:6] < 20).all()
    assert (image[:2] > 200).all()


def test_an_image_of_the_right_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    for fit in ("pad", "crop", "stretch"):
        assert fitted(image, 12, 12, fit) is image


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_the_card_tells_how_images_were_fitted(tmp_path, prepared, fit):
    root = draw_tree(tmp_path / "faces", {"happy": 12, "sad": 12}, size=(38, 28))
    card, splits = prepared(root, size=32, fit=fit)
    assert (card.fit, card.shape) == (fit, (32, 32, 3))
    assert (splits["train"].images[:, :, :4] == 0).all() == (fit == "pad")


def test_other_words_are_refused(tmp_path, prepared):
    with pytest.raises(UserError, match="--fit squash: it is pad"):
        prepared(tmp_path, fit="squash")
