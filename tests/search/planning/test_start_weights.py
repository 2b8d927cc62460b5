"""The weights that trials start from: who gets which, what is kept of them, and what is told before the search."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawing import tiny_dataset
from safetensors.torch import save_file

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing.tables import write_table
from fer_tune.models import create_model
from fer_tune.run_folder import TRIAL_COLUMNS
from fer_tune.search.options import SearchOptions
from fer_tune.search.planning.plan import check_images
from fer_tune.search.planning.start_weights import check_candidates, check_weights, starting_from
from fer_tune.search.proposing.warm_start import starts
from fer_tune.search.spaces.changes import with_changes
from fer_tune.search.spaces.given import read_changes
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.search.spaces.space import SearchSpace

RATE = {"learning_rate": {"log_uniform": [1e-4, 1e-1]}}


def space(backbone: str = "cnn_simpler", **more) -> SearchSpace:
    data = {"backbone": backbone, "search": RATE, **more}
    return from_resolved(data)


def two() -> dict[str, SearchSpace]:
    return {name: space(name) for name in ("cnn_simpler", "cnn_deeper")}


@pytest.mark.parametrize(
    ("given", "simpler", "deeper"),
    [
        ([], None, None),
        (["/w.pt"], "/w.pt", "/w.pt"),
        (["cnn_deeper=/w.pt"], None, "/w.pt"),
        (["cnn_deeper=/w.pt", "cnn_simpler=/runs/a=b"], "/runs/a=b", "/w.pt"),
        (["/runs/a=b"], "/runs/a=b", "/runs/a=b"),  # no backbone stands before the sign
    ],
)
def test_one_file_is_for_all_backbones_and_a_named_one_for_its_own(given, simpler, deeper) -> None:
    spaces = starting_from(two(), given)
    assert [each.fixed.get("weights") for each in spaces.values()] == [simpler, deeper]


def test_pretrained_weights_give_way(tmp_path: Path) -> None:
    (found,) = starting_from({"cnn_simpler": space(fixed={"pretrained": True})}, ["/w.pt"]).values()
    assert found.fixed == {"pretrained": False, "weights": "/w.pt"}


@pytest.mark.parametrize("own", [{}, {"pretrained": True}])
def test_published_configurations_start_as_they_were_published(own) -> None:
    entry = {"name": "a/b", "source": "a paper", "dataset": "fer2013", "config": {"learning_rate": 1e-3}}
    plain = space(fixed=own, published=[entry])
    (found,) = starting_from({"cnn_simpler": plain}, ["/w.pt"]).values()
    settings = found.settings(found.published[0].config)
    assert settings["weights"] is None
    assert settings["pretrained"] == bool(own)
    assert settings["learning_rate"] == 1e-3
    assert not found.holds(settings)  # so the sampler does not learn from it


def test_a_path_is_kept_whole_since_trials_run_in_other_folders(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert starting_from({"s": space()}, ["runs/first"])["s"].fixed["weights"] == str(tmp_path / "runs/first")
    own = space(fixed={"weights": "w.pt"})
    assert starting_from({"s": own}, [])["s"].fixed["weights"] == str(tmp_path / "w.pt")


def test_so_is_one_that_is_drawn_or_tried_first(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    entry = {"name": "a/b", "source": "a paper", "dataset": "fer2013", "config": {"learning_rate": 1e-3}}
    config = {"learning_rate": 1e-3, "weights": "w.pt"}
    plain = space(published=[{**entry, "config": config}], known_good=[{"name": "good", "config": config}])
    changes = read_changes(choice="weights=none,w.pt,/abs.pt")
    spaces, _ = with_changes({"cnn_simpler": plain}, changes)
    (found,) = starting_from(spaces, []).values()
    whole = str(tmp_path / "w.pt")
    assert found.parameters["weights"].values == (None, whole, "/abs.pt")
    assert [each.config["weights"] for each in (*found.published, *found.known_good)] == [whole, whole]
    assert from_resolved(found.resolved()).parameters["weights"].values == (None, whole, "/abs.pt")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["/a.pt", "/b.pt"], r"--weights /b\.pt: cnn_simpler starts from /a\.pt already; choose one"),
        (["cnn_deeper=/a.pt", "/b.pt"], r"--weights /b\.pt: cnn_deeper starts from /a\.pt already"),
    ],
)
def test_two_for_one_backbone_are_refused(given, told) -> None:
    with pytest.raises(UserError, match=told):
        starting_from(two(), given)


def test_a_space_that_searches_where_trials_start_is_left_alone() -> None:
    search = {**RATE, "pretrained": {"choice": [True, False]}}
    searched = from_resolved({"backbone": "resnet18", "search": search})
    assert starting_from({"resnet18": searched}, [])["resnet18"] == searched
    with pytest.raises(UserError, match=r"the space of resnet18 searches pretrained itself"):
        starting_from({"resnet18": searched}, ["/w.pt"])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> PreparedDataset:
    path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path, n_train=14, n_val=7, n_test=7)
    return PreparedDataset.open(path)


def test_what_of_a_file_fits_is_told(data: PreparedDataset, tmp_path: Path) -> None:
    five = create_model("cnn_simpler", num_classes=5, in_chans=1, image_size=48)
    save_file(five.state_dict(), tmp_path / "five.safetensors")
    spaces = starting_from({"cnn_simpler": space()}, [str(tmp_path / "five.safetensors")])
    (told,) = check_weights(spaces, data)
    assert told.startswith(f"cnn_simpler: {tmp_path}/five.safetensors: ")
    assert "tensors copied" in told
    assert "of another shape, left as initialised" in told  # the classifier of five classes
    assert check_weights({"cnn_simpler": space()}, data) == []


def warm(tmp_path: Path, weights: Path) -> SearchOptions:
    """The options of a search that starts from a run whose best trial started from ``weights``."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "search.yaml").write_text("name: earlier\n")
    row = {"trial_id": "a", "status": "completed", "backbone": "cnn_simpler", "val_accuracy": 0.5}
    row |= {"config.learning_rate": 0.01, "config.weights": str(weights)}
    write_table([row], TRIAL_COLUMNS, run / "trials.parquet")
    return SearchOptions(data=tmp_path, backbones=["cnn_simpler"], warm_start=[str(run)], known_good=False)


def test_weights_of_the_new_search_win_over_those_that_a_warm_start_brings(data, tmp_path: Path) -> None:
    options = warm(tmp_path, tmp_path / "gone.pt")
    own = starting_from({"cnn_simpler": space()}, [str(tmp_path / "w.pt")])
    (entry,) = starts(options, own)["cnn_simpler"]
    assert entry.config == {"learning_rate": 0.01}
    assert own["cnn_simpler"].settings(entry.config)["weights"] == str(tmp_path / "w.pt")
    check_candidates({"cnn_simpler": [entry]}, own, data)


def test_weights_that_a_warm_start_brings_are_looked_for_before_the_search(data, tmp_path: Path) -> None:
    spaces = {"cnn_simpler": space()}
    found = starts(warm(tmp_path, tmp_path / "w.safetensors"), spaces)
    with pytest.raises(UserError, match=r"no such weights file; run/a started there: .* by --weights, or leave"):
        check_candidates(found, spaces, data)
    model = create_model("cnn_simpler", num_classes=7, in_chans=1)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    check_candidates(found, spaces, data)


def test_images_that_a_network_cannot_take_are_refused_by_name(data) -> None:
    with pytest.raises(UserError, match="image_size: 24 pixels do not work with vit_tiny_patch16_224"):
        check_images({"vit_tiny_patch16_224": space("vit_tiny_patch16_224")}, data.card)
    check_images({"vit_tiny_patch16_224": space("vit_tiny_patch16_224", fixed={"image_size": 32})}, data.card)
    wide = data.card.model_copy(update={"width": 32})
    with pytest.raises(UserError, match=r"vit_tiny_patch16_224 is built for square images, and those of .* 24x32"):
        check_images({"vit_tiny_patch16_224": space("vit_tiny_patch16_224")}, wide)
    check_images({"cnn_simpler": space()}, wide)


def test_a_file_of_another_backbone_is_refused(data: PreparedDataset, tmp_path: Path) -> None:
    other = create_model("cnn_separable", num_classes=7, in_chans=1, image_size=48)
    save_file({f"else.{name}": value for name, value in other.state_dict().items()}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="no weight in it fits this backbone"):
        check_weights(starting_from({"cnn_simpler": space()}, [str(tmp_path / "w.safetensors")]), data)
