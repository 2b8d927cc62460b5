"""A search space says what is drawn, runs published configurations as published, and tells all faults of its file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from fer_tune.errors import UserError
from fer_tune.models.stages import stage_count
from fer_tune.run_folder import Published
from fer_tune.search.spaces.loading import from_resolved, load_space
from fer_tune.search.spaces.space import SearchSpace, origin

SPACE = """\
backbone: resnet18
about: For the tests.
search:
  learning_rate: {log_uniform: [1e-4, 1e-2]}
  batch_size: {choice: [32, 64]}
  freeze_depth: {integer: [0, 5]}
  optimizer: {choice: [adamw, sgd]}
  momentum: {uniform: [0.8, 0.98], when: {optimizer: sgd}}
fixed:
  schedule: cosine
"""

INSIDE = {"learning_rate": 1e-3, "batch_size": 64, "freeze_depth": 2, "optimizer": "sgd", "momentum": 0.9}


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    return load_space(write(tmp_path, SPACE))


def write(folder: Path, text: str) -> Path:
    file = folder / "space.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def new_study(storage: optuna.storages.BaseStorage | None = None) -> optuna.Study:
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(storage=storage, sampler=sampler, direction="maximize")


def draw(space: SearchSpace, count: int) -> list[dict[str, Any]]:
    study = new_study()
    return [space.suggest(study.ask()) for _ in range(count)]


def published(config: dict[str, Any], name: str = "paper") -> Published:
    return Published(name=name, source="a paper", dataset="fer2013", config=config)


def test_draws_within_its_ranges(space: SearchSpace) -> None:
    drawn = draw(space, 200)
    rates = [settings["learning_rate"] for settings in drawn]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert 60 < sum(rate < 1e-3 for rate in rates) < 140  # half of a logarithmic range, a tenth of a linear one
    assert {settings["batch_size"] for settings in drawn} == {32, 64}
    assert {settings["freeze_depth"] for settings in drawn} == {0, 1, 2, 3, 4, 5}
    assert {settings["schedule"] for settings in drawn} == {"cosine"}


def test_a_conditional_setting_is_drawn_only_where_it_applies(space: SearchSpace) -> None:
    drawn = draw(space, 50)
    assert {settings["optimizer"] for settings in drawn} == {"adamw", "sgd"}
    for settings in drawn:
        assert ("momentum" in settings) == (settings["optimizer"] == "sgd")


def test_a_condition_may_stand_before_what_it_reads_and_depend_on_another(tmp_path: Path) -> None:
    text = """\
backbone: cnn_residual
search:
  momentum: {uniform: [0.8, 0.9], when: {optimizer: [sgd]}}
  optimizer: {choice: [adamw, sgd], when: {batch_size: 32}}
  batch_size: {choice: [32, 64]}
"""
    drawn = draw(load_space(write(tmp_path, text)), 60)
    assert {frozenset(settings) for settings in drawn} == {
        frozenset({"batch_size"}),
        frozenset({"batch_size", "optimizer"}),
        frozenset({"batch_size", "optimizer", "momentum"}),
    }


def test_resolved_space_reads_back_the_same_and_can_be_pickled(tmp_path: Path) -> None:
    text = SPACE + "published:\n  - {name: a, source: b, dataset: c, config: {learning_rate: 1, batch_size: 64, "
    space = load_space(write(tmp_path, text + "freeze_depth: 0, optimizer: adam}}\n"))
    again = from_resolved(yaml.safe_load(yaml.safe_dump(space.resolved())))
    assert again == space
    assert again.published[0].config["learning_rate"] == 1.0
    assert draw(pickle.loads(pickle.dumps(space)), 3) == draw(space, 3)


def test_from_resolved_tells_faults_without_lines(space: SearchSpace) -> None:
    data = space.resolved() | {"serch": {}}
    with pytest.raises(UserError, match=r"^search\.yaml: serch: no such key; did you mean 'search'\?$"):
        from_resolved(data, "search.yaml")


def test_published_configuration_inside_the_space_is_told_to_the_sampler(space: SearchSpace) -> None:
    study = new_study()
    config = {**INSIDE, "epochs": 50, "seed": 3}
    assert space.enqueue(study, published(config))
    trial = study.ask()
    assert space.suggest(trial) == {**INSIDE, "schedule": "cosine"}
    assert trial.params == INSIDE == space.enqueue_values(config)
    assert origin(trial) == "paper"


def test_a_published_configuration_that_was_lost_is_enqueued_again(space: SearchSpace) -> None:
    study = new_study()
    config = {**INSIDE, "optimizer": "adam"}
    space.enqueue(study, published(config))
    lost = study.ask()
    study.tell(lost, state=optuna.trial.TrialState.FAIL)
    assert space.enqueue_again(study, study.trials[lost.number])
    again = study.ask()
    assert space.suggest(again) == {"schedule": "cosine", **config}
    assert origin(again) == "paper"
    drawn = study.ask()
    assert not space.enqueue_again(study, study.trials[drawn.number])
    assert origin(study.ask()) == "searched"


@pytest.mark.parametrize(
    "outside",
    [
        {"learning_rate": 1.0},  # beyond the range
        {"batch_size": 70},  # not a choice
        {"schedule": "plateau"},  # fixed to another value
        {"early_stopping": 5},  # neither searched nor fixed
        {"optimizer": "adam"},
        {"momentum": 0.0},
    ],
)
def test_published_configuration_outside_the_space_runs_as_published(
    space: SearchSpace, outside: dict[str, Any], recwarn: pytest.WarningsRecorder
) -> None:
    config = {**INSIDE, **outside}
    study = new_study()
    space.enqueue(study, published(config))
    trial = study.ask()
    assert space.suggest(trial) == {"schedule": "cosine", **config}
    assert trial.params == {}  # the sampler does not learn from a point it could not draw
    assert space.enqueue_values(config) == {}
    found = space.outside(space.settings(config))
    assert found.keys() >= outside.keys()
    drawn = [name for name in found if name in space.order]
    assert drawn == sorted(drawn, key=space.order.index)  # and not as a set of this process has them
    study.tell(trial, 0.5)
    following = study.ask()
    assert space.holds(space.suggest(following))
    assert origin(following) == "searched"
    assert not [warning for warning in recwarn if "out of range" in str(warning.message)]


def test_a_study_gets_each_published_configuration_once_also_after_a_restart(
    space: SearchSpace, tmp_path: Path
) -> None:
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    study = new_study(optuna.storages.JournalStorage(backend))
    config = {**INSIDE, "learning_rate": 1.0}
    assert space.enqueue(study, published(config))
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    reopened = optuna.load_study(study_name=study.study_name, storage=optuna.storages.JournalStorage(backend))
    assert not space.enqueue(reopened, published(config))
    assert len(reopened.trials) == 1
    assert space.suggest(reopened.ask()) == {**config, "schedule": "cosine"}


def test_published_configurations_of_the_dataset_are_tried_or_all_where_no_paper_used_it(space: SearchSpace) -> None:
    entries = [
        Published(name="a", source="", dataset="fer2013", config=INSIDE),
        Published(name="b", source="", dataset="raf-db", config=INSIDE),
        Published(name="c", source="", dataset="ferg", config={**INSIDE, "batch_size": 32}),
    ]
    several = space.model_copy(update={"published": entries})
    assert [entry.name for entry in several.published_for("raf-db")] == ["b"]
    assert [entry.name for entry in several.published_for("synthetic")] == ["a", "c"]  # b would train what a trains


# Each case changes SPACE by one line, which "# <-" marks; the fault must be told on that line.
FAULTS = {
    "misspelt setting": ("  learnign_rate: {uniform: [0.1, 1]}", "search.learnign_rate", "'learning_rate'"),
    "what others call it": ("  lr: {uniform: [0.1, 1]}", "search.lr", "'learning_rate'"),
    "misspelt kind": ("  drop_rate: {unifrom: [0.1, 0.2]}", "search.drop_rate.unifrom", "'uniform'"),
    "no kind": ("  drop_rate: {}", "search.drop_rate", "exactly one of log_uniform, uniform, integer, choice"),
    "two kinds": ("  drop_rate: {uniform: [0.1, 0.2], choice: [0.1, 0.2]}", "search.drop_rate", "uniform and choice"),
    "low above high": ("  drop_rate: {uniform: [0.3, 0.2]}", "search.drop_rate.uniform", "0.3 is not below high 0.2"),
    "low equals high": ("  drop_rate: {uniform: [0.2, 0.2]}", "search.drop_rate.uniform", "put it in fixed"),
    "logarithm of zero": ("  weight_decay: {log_uniform: [0, 0.2]}", "search.weight_decay.log_uniform", "above 0"),
    "beyond the bound": ("  augmentation: {uniform: [0, 1.5]}", "search.augmentation.uniform.1", "equal to 1"),
    "not a number": ("  augmentation: {uniform: [0, much]}", "search.augmentation.uniform.1", "valid number"),
    "not a pair": ("  augmentation: {uniform: [0, 0.5, 1]}", "search.augmentation.uniform", r"\[low, high\]"),
    "range of words": ("  schedule: {uniform: [0, 1]}", "search.schedule.uniform", "use choice"),
    "continuous integer": ("  early_stopping: {uniform: [1, 9]}", "search.early_stopping.uniform", "use integer"),
    "integer for a float": ("  drop_rate: {integer: [0, 1]}", "search.drop_rate.integer", "use uniform"),
    "choice of one": ("  pretrained: {choice: [true]}", "search.pretrained.choice", "at least two values"),
    "choice given twice": ("  augmentation: {choice: [0.1, 1e-1]}", "search.augmentation.choice", "given twice"),
    "choice not valid": ("  schedule: {choice: [cosine, platau]}", "search.schedule.choice.1", "'plateau'"),
    "truth as a number": ("  augmentation: {choice: [0.5, true]}", "search.augmentation.choice.1", "a number"),
    "duplicate key": ("  batch_size: {choice: [8, 16]}", "search.batch_size", "given twice, first on line 5"),
    "set by the search": ("  epochs: {integer: [1, 9]}", "search.epochs", "--epochs"),
    "seed": ("  seed: {integer: [1, 9]}", "search.seed", "--seed"),
    "backbone": ("  backbone: {choice: [resnet18, resnet34]}", "search.backbone", "the search sets it"),
    "no mapping": ("  drop_rate: 0.5", "search.drop_rate", "but it is 0.5"),
    "condition on nothing": (
        "  drop_rate: {uniform: [0, 0.5], when: {schedule: cosine}}",
        "search.drop_rate.when.schedule",
        "must name a searched setting",
    ),
    "condition misspelt": (
        "  drop_rate: {uniform: [0, 0.5], when: {optimiser: sgd}}",
        "search.drop_rate.when.optimiser",
        "'optimizer'",
    ),
    "condition never met": (
        "  drop_rate: {uniform: [0, 0.5], when: {optimizer: sdg}}",
        "search.drop_rate.when.optimizer",
        "can never be sdg; it is one of adamw, sgd",
    ),
    "condition beyond range": (
        "  drop_rate: {uniform: [0, 0.5], when: {freeze_depth: 6}}",
        "search.drop_rate.when.freeze_depth",
        "can never be 6",
    ),
    "condition on a continuous range": (
        "  drop_rate: {uniform: [0, 0.5], when: {learning_rate: 1e-3}}",
        "search.drop_rate.when.learning_rate",
        "continuous",
    ),
    "condition on itself": (
        "  drop_rate: {choice: [0, 0.5], when: {drop_rate: 0}}",
        "search.drop_rate.when",
        "depends on itself",
    ),
    "both searched and fixed": ("fixed: {batch_size: 8}", "fixed.batch_size", "searched on line 5 and fixed"),
    "fixed beyond the bound": ("fixed: {drop_rate: 1}", "fixed.drop_rate", "less than 1"),
    "fixed epochs": ("fixed: {epochs: 3}", "fixed.epochs", "--epochs"),
    "fixed freeze depth": ("fixed: {weight_decay: 1, freeze_dept: 1}", "fixed.freeze_dept", "'freeze_depth'"),
    "range of image sizes": ("  image_size: {integer: [32, 96]}", "search.image_size.integer", "as a choice"),
    "image size too small": ("  image_size: {choice: [32, 4]}", "search.image_size.choice.1", "equal to 8"),
    "views of nothing": ("fixed: {augmented_views: 4, augmentation: 0}", "fixed.augmented_views", "does nothing"),
    "without extending": ("without: [momentum]", "without", "nothing is extended"),
    "misspelt section": ("publsihed: []", "publsihed", "'published'"),
}


@pytest.mark.parametrize(("line", "field", "what"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_with_file_line_and_field(line: str, field: str, what: str, tmp_path: Path) -> None:
    text = SPACE.replace("fixed:\n  schedule: cosine\n", f"{line}  # <-\n")
    file = write(tmp_path, text)
    number = next(index for index, each in enumerate(text.splitlines(), start=1) if "# <-" in each)
    with pytest.raises(UserError, match=what) as caught:
        load_space(file)
    assert str(caught.value).startswith(f"{file}:{number}: {field}: ")
    assert "\n" not in str(caught.value)  # one fault, told once


def test_image_sizes_and_drop_path_are_held_against_the_backbone(tmp_path: Path) -> None:
    text = """\
backbone: BACKBONE
search:
  image_size: {choice: [48, 24]}
fixed:
  drop_path_rate: 0.1
"""
    load_space(write(tmp_path, text.replace("BACKBONE", "resnet18")))
    with pytest.raises(UserError, match=r"space\.yaml:3: search\.image_size\.choice\.1: 24 pixels do not work"):
        load_space(write(tmp_path, text.replace("BACKBONE", "cnn_small_vgg")))
    with pytest.raises(UserError, match=r"space\.yaml:5: fixed\.drop_path_rate: cnn_simpler has no residual blocks"):
        load_space(write(tmp_path, text.replace("BACKBONE", "cnn_simpler")))


PUBLISHED_FAULTS = {
    "unknown field": ("config: {learning_rat: 1}", "published.0.config.learning_rat", "'learning_rate'"),
    "beyond the bound": ("config: {learning_rate: 11}", "published.0.config.learning_rate", "equal to 10"),
    "too deep": ("config: {freeze_depth: 6}", "published.0.config.freeze_depth", "6 is beyond the 5 stages"),
    "silent on a setting": ("config: {freeze_depth: 0}", "published.0.config", "learning_rate"),
    "other backbone": ("config: {backbone: resnet34}", "published.0.config.backbone", "this file is for resnet18"),
    "reported is no number": ("reported: {test_accuracy: high}", "published.0.reported.test_accuracy", "'high'"),
    "chosen not in config": ("chosen: {drop_rate: why}", "published.0.chosen.drop_rate", "is not in config"),
    "misspelt key": ("datset: fer2013", "published.0.datset", "'dataset'"),
    "no source": ("dataset: fer2013", "published.0.source", "missing"),
}


@pytest.mark.parametrize(("line", "field", "what"), PUBLISHED_FAULTS.values(), ids=PUBLISHED_FAULTS.keys())
def test_a_fault_in_a_published_configuration_is_told(line: str, field: str, what: str, tmp_path: Path) -> None:
    text = f"{SPACE}published:\n  - name: paper\n    {line}\n"
    file = write(tmp_path, text)
    number = len(text.splitlines()) - (what == "missing")  # what is missing is told where the entry opens
    with pytest.raises(UserError) as caught:
        load_space(file)
    told = [fault for fault in str(caught.value).splitlines() if fault.startswith(f"{file}:{number}: {field}: ")]
    assert len(told) == 1
    assert what in told[0]


def test_a_topic_may_be_explained_that_is_no_setting(tmp_path: Path) -> None:
    config = "{learning_rate: 1, batch_size: 64, freeze_depth: 0, optimizer: adam}"
    entry = f"{{name: a, source: b, dataset: c, config: {config}, chosen: {{network: its layers are not given}}}}"
    space = load_space(write(tmp_path, f"{SPACE}published:\n  - {entry}\n"))
    assert space.published[0].chosen == {"network": "its layers are not given"}


def test_all_faults_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = SPACE.replace("[1e-4, 1e-2]", "[1e-4, 20]").replace("[0, 5]", "[0, 9]").replace("schedule", "shedule")
    with pytest.raises(UserError) as caught:
        load_space(write(tmp_path, text.replace("optimizer: {choice", "optimiser: {choice")))
    lines = [int(fault.split(":")[1]) for fault in str(caught.value).splitlines()]
    assert lines == [4, 6, 7, 8, 10]  # 8: momentum's condition now names nothing


def test_conditions_in_a_circle_are_refused(tmp_path: Path) -> None:
    text = """\
backbone: cnn_residual
search:
  batch_size: {choice: [32, 64], when: {freeze_depth: 0}}
  freeze_depth: {choice: [0, 1], when: {batch_size: 32}}
"""
    with pytest.raises(UserError, match=r"search\.batch_size\.when: its condition depends on itself"):
        load_space(write(tmp_path, text))


@pytest.mark.parametrize("where", ["integer: [0, DEPTH]", "choice: [0, DEPTH]", "fixed"])
def test_freeze_depth_reaches_to_the_stages_of_the_backbone_and_no_further(where: str, tmp_path: Path) -> None:
    text = "backbone: cnn_residual\nsearch:\n  drop_rate: {uniform: [0, 0.5]}\n"
    text += "fixed: {freeze_depth: DEPTH}\n" if where == "fixed" else f"  freeze_depth: {{{where}}}\n"
    stages = stage_count("cnn_residual")
    load_space(write(tmp_path, text.replace("DEPTH", str(stages))))
    with pytest.raises(UserError, match=f"{stages + 1} is beyond the {stages} stages of cnn_residual"):
        load_space(write(tmp_path, text.replace("DEPTH", str(stages + 1))))


def test_unknown_backbone_is_told_with_the_nearest_names(tmp_path: Path) -> None:
    file = write(tmp_path, SPACE.replace("backbone: resnet18", "backbone: resnet81"))
    with pytest.raises(UserError, match=r"space\.yaml:1: backbone: .*'resnet18'"):
        load_space(file)
    with pytest.raises(UserError, match="'cnn_residual'"):
        load_space("cnn_residul")


def test_a_backbone_without_a_shipped_space_is_told_apart_from_an_unknown_one() -> None:
    with pytest.raises(UserError, match=r"resnet26: no search space is shipped .*spaces copy"):
        load_space("resnet26")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("backbone: [resnet18\nsearch: {}\n", 2),
        ("backbone: resnet18\nsearch:\n\tdrop_rate: {}\n", 3),
        ("a: &x {b: *x}\n", 1),
        ("", 0),
        ("- resnet18\n", 1),
    ],
)
def test_a_file_that_is_no_mapping_or_no_yaml_is_one_clear_error(text: str, line: int, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_space(file)
    assert str(caught.value).startswith(f"{file}:{line}: " if line else f"{file}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_missing_and_unreadable_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.yaml: no such file"):
        load_space(tmp_path / "gone.yaml")
    (tmp_path / "image.yaml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match="cannot be read as text"):
        load_space(tmp_path / "image.yaml")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("batch_size: 1:30", r"space\.yaml:9: fixed\.batch_size: should be a valid integer, .*, but it is '1:30'"),
        ("head: 2020-01-01", r"fixed\.head: should be own, linear, or units of .*, but it is '2020-01-01'"),
        ("head: \0", r"not valid YAML: unacceptable character #x0000"),
        ("head: " + "[" * 600, r"not valid YAML: .*brackets"),
    ],
)
def test_what_yaml_reads_otherwise_than_people_is_told(tmp_path: Path, line: str, told: str) -> None:
    text = SPACE.replace("  batch_size: {choice: [32, 64]}\n", "").replace("  schedule: cosine", f"  {line}")
    with pytest.raises(UserError, match=told):
        load_space(write(tmp_path, text))


def test_numbers_are_those_that_people_write(tmp_path: Path) -> None:
    text = SPACE.replace("  batch_size: {choice: [32, 64]}\n", "")
    found = load_space(write(tmp_path, f"{text}  batch_size: 010\n  weight_decay: 1e-4\n  layer_decay: .5\n"))
    assert (found.fixed["batch_size"], found.fixed["weight_decay"], found.fixed["layer_decay"]) == (10, 1e-4, 0.5)
