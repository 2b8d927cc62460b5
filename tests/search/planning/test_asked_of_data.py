"""A search that asks for votes or colours is refused before it begins where the dataset has none."""

from __future__ import annotations

import pytest
from drawing import tiny_dataset

from fer_tune.errors import UserError
from fer_tune.run_folder import Candidate
from fer_tune.search.options import SearchOptions
from fer_tune.search.planning.plan import check_asked, make_plan
from fer_tune.search.spaces.given import read_changes
from fer_tune.search.spaces.loading import from_resolved

SEARCHED = read_changes(choice="votes=majority,distribution,draw")


def options(data, **more) -> SearchOptions:
    return SearchOptions(data=str(data), backbones=["cnn_simpler"], trials=2, epochs=1, **more)


def test_a_searched_setting_needs_votes(tmp_path):
    tiny_dataset(tmp_path / "plain", n_train=14, n_val=7, n_test=7)
    with pytest.raises(UserError, match="cnn_simpler: votes: distribution: tiny has one label per image"):
        make_plan(options(tmp_path / "plain", changes=SEARCHED))
    make_plan(options(tmp_path / "plain"))
    tiny_dataset(tmp_path / "voted", n_train=14, n_val=7, n_test=7, votes=True)
    plan = make_plan(options(tmp_path / "voted", changes=SEARCHED))
    assert plan.spaces["cnn_simpler"].parameters["votes"].values == ("majority", "distribution", "draw")


def test_so_does_what_is_fixed_and_what_is_tried_first(tmp_path):
    card = tiny_dataset(tmp_path / "plain", n_train=14, n_val=7, n_test=7)
    rate = {"backbone": "cnn_simpler", "search": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}}}
    fixed, free = from_resolved({**rate, "fixed": {"votes": "draw"}}), from_resolved(rate)
    earlier = Candidate(name="earlier/trial", config={"learning_rate": 1e-3, "votes": "distribution"})
    with pytest.raises(UserError, match="votes: draw"):
        check_asked({"cnn_simpler": fixed}, {}, card)
    with pytest.raises(UserError, match="votes: distribution"):
        check_asked({"cnn_simpler": free}, {"cnn_simpler": [earlier]}, card)
    check_asked({"cnn_simpler": free}, {"cnn_simpler": []}, card)


def test_transforms_of_colours_need_colours(tmp_path):
    tiny_dataset(tmp_path / "grey", n_train=14, n_val=7, n_test=7)
    tiny_dataset(tmp_path / "colour", n_train=14, n_val=7, n_test=7, channels=3)
    asked = read_changes(choice="transforms=flip+blur,flip+hue+greyscale")
    with pytest.raises(UserError, match=r"transforms: hue\+greyscale: does nothing to grey images, which tiny has"):
        make_plan(options(tmp_path / "grey", changes=asked))
    make_plan(options(tmp_path / "grey", changes=read_changes(fix="transforms=flip+blur")))
    make_plan(options(tmp_path / "colour", changes=asked))
