"""Settings that were good elsewhere: how a space names them, which ones fit, and that a search tries them first."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.search.options import SearchOptions
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.proposing.warm_start import starts
from fer_tune.search.spaces.loading import from_resolved, load_space, shipped_spaces
from fer_tune.search.spaces.space import SearchSpace

SHARED = """
search:
  learning_rate: {log_uniform: [1e-3, 2e-2]}
  drop_rate: {uniform: [0.0, 0.3]}
fixed: {optimizer: adamw}
known_good:
  - name: us/first
    source: a network on some faces
    config: {learning_rate: 8e-3, drop_rate: 0.1, label_smoothing: 0.1}
  - name: us/second
    config: {learning_rate: 1.5e-2, drop_rate: 0.2}
"""


def space_of(folder: Path, text: str) -> SearchSpace:
    (folder / "shared.yaml").write_text(SHARED)
    file = folder / "space.yaml"
    file.write_text(f"backbone: cnn_simpler\n{text}")
    return load_space(file, against_model=False)


def test_what_fits_is_taken_and_the_rest_left_out(tmp_path):
    space = space_of(tmp_path, "extends: shared.yaml\nsearch:\n  learning_rate: {log_uniform: [1e-3, 1e-2]}\n")
    assert [entry.name for entry in space.known_good] == ["us/first", "us/second"]
    (fit,) = space.fitting()
    assert fit.name == "us/first"
    assert fit.config == {"learning_rate": 8e-3, "drop_rate": 0.1}  # label_smoothing is not searched here
    again = from_resolved(space.resolved())
    assert again.fitting() == [fit]


def test_what_is_fixed_stays_fixed_and_what_is_missing_does_not_fit(tmp_path):
    fixed = space_of(tmp_path, "extends: shared.yaml\nfixed:\n  drop_rate: 0.25\n")
    assert [entry.config for entry in fixed.fitting()] == [{"learning_rate": 8e-3}, {"learning_rate": 1.5e-2}]
    assert fixed.settings(fixed.fitting()[0].config)["drop_rate"] == 0.25
    more = space_of(tmp_path, "extends: shared.yaml\nsearch:\n  weight_decay: {log_uniform: [1e-4, 1e-1]}\n")
    assert more.fitting() == []


def test_settings_for_another_optimiser_do_not_fit(tmp_path):
    entry = "known_good:\n  - {name: a, config: {learning_rate: 8e-3, optimizer: adamw, drop_rate: 0.1}}\n"
    search = "search:\n  learning_rate: {log_uniform: [1e-3, 1e-2]}\n"
    fits = {
        fixed: len(space_of(tmp_path, f"{search}{fixed}{entry}").fitting())
        for fixed in ("fixed: {optimizer: adamw}\n", "fixed: {optimizer: sgd}\n", "", "fixed: {drop_rate: 0.3}\n")
    }
    assert list(fits.values()) == [1, 0, 1, 1]  # AdamW is what a trial has by default


def test_conditions_are_heeded(tmp_path):
    space = space_of(
        tmp_path,
        "search:\n  optimizer: {choice: [adamw, sgd]}\n"
        "  momentum: {uniform: [0.5, 0.99], when: {optimizer: sgd}}\n"
        "known_good:\n"
        "  - {name: a, config: {optimizer: adamw, momentum: 0.9}}\n"
        "  - {name: b, config: {optimizer: sgd, momentum: 0.9}}\n"
        "  - {name: c, config: {optimizer: sgd}}\n",
    )
    assert [(entry.name, entry.config) for entry in space.fitting()] == [
        ("a", {"optimizer": "adamw"}),
        ("b", {"optimizer": "sgd", "momentum": 0.9}),
    ]


def test_all_faults_are_told_with_their_lines(tmp_path):
    with pytest.raises(UserError) as raised:
        space_of(
            tmp_path,
            "search:\n  learning_rate: {log_uniform: [1e-3, 1e-2]}\nknown_good:\n"
            "  - {name: a, config: {learning_rate: 0.5}}\n"
            "  - {name: a, config: {lr: 0.005}}\n"
            "  - {config: {learning_rate: 0.005}}\n"
            "  - {name: b, config: {epochs: 5, drop_rate: 2}}\n"
            "  - {name: c, cofnig: {}}\n",
        )
    told = str(raised.value).splitlines()
    assert len(told) == 7, told
    for line, words in [
        (5, "known_good.0.config.learning_rate: 0.5 lies outside what is searched here"),
        (6, "known_good.1.name: a is the name of an earlier entry"),
        (7, "known_good.2.name: should say where the settings are from"),
        (8, "known_good.3.config.epochs: the search sets it"),
        (8, "known_good.3.config.drop_rate:"),
        (9, "known_good.4.cofnig: no such key; did you mean 'config'?"),
        (9, "known_good.4.config: missing"),
    ]:
        assert any(f"space.yaml:{line}: {words}" in each for each in told), (words, told)


def test_a_list_is_asked_for(tmp_path):
    with pytest.raises(UserError, match=r"space.yaml:4: known_good: should be a list"):
        space_of(tmp_path, "search:\n  drop_rate: {uniform: [0.0, 0.3]}\nknown_good: {name: a}\n")


def test_they_come_after_an_earlier_run_and_before_anything_drawn(tmp_path):
    space = space_of(tmp_path, "extends: shared.yaml\n")
    first = starts(options(tmp_path), {"cnn_simpler": space})
    searcher = StudySearcher({"cnn_simpler": space}, first, 3, 5, 0, RunFolder(tmp_path))
    drawn = [searcher.suggest(name) for name in "abc"]
    assert [(each["origin"], each["learning_rate"]) for each in drawn[:2]] == [  # type: ignore[index]
        ("us/first", 8e-3),
        ("us/second", 1.5e-2),
    ]
    assert drawn[2]["origin"] == "searched"  # type: ignore[index]
    studied = searcher._study("cnn_simpler").get_trials()
    assert studied[0].params == {"learning_rate": 8e-3, "drop_rate": 0.1}  # the sampler learns from it


def options(folder: Path, **changes: object) -> SearchOptions:
    return SearchOptions(data=folder, backbones=["cnn_simpler"], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"known_good": False}, {"sampler": "random"}, {"sampler": "grid"}])
def test_they_can_be_left_out_and_are_where_nothing_learns(tmp_path, changes):
    space = space_of(tmp_path, "extends: shared.yaml\n")
    assert len(starts(options(tmp_path), {"cnn_simpler": space})["cnn_simpler"]) == 2
    assert starts(options(tmp_path, **changes), {"cnn_simpler": space}) == {}


def test_the_shipped_ones_fit_every_small_network_that_shares_them():
    """An entry that fits none of the spaces that take it up would be dead text."""
    found = {name: load_space(name, against_model=False) for name in shipped_spaces()}
    having = {name: space for name, space in found.items() if space.known_good}
    assert {"cnn_simpler", "cnn_separable", "cnn_residual", "cnn_baseline"} <= set(having)
    for name, space in having.items():
        assert len(space.fitting()) == len(space.known_good), name


def test_spaces_show_tells_them(tmp_path):
    from fer_tune.cli.main import app

    space_of(tmp_path, "extends: shared.yaml\nsearch:\n  learning_rate: {log_uniform: [1e-3, 1e-2]}\n")
    shown = CliRunner().invoke(app, ["spaces", "show", str(tmp_path / "space.yaml")], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    (line,) = [line for line in shown.output.splitlines() if line.startswith("us/")]
    assert line.split()[0] == "us/first"
    assert "a network on some faces" in line
    assert "learning_rate 0.008, drop_rate 0.1" in line
