"""Trials that are kept to some of the nodes by their labels."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
import ray
from ray._private import label_utils

from fer_tune.errors import UserError
from fer_tune.search.cluster import hardware, node_labels
from fer_tune.search.cluster.hardware import Resources, check_size, lacking, unused_places
from fer_tune.search.cluster.node_labels import matches, parse_labels

FAST, SLOW = {"kind": "fast", "ray.io/accelerator-type": "A100"}, {"kind": "slow"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast node with eight CPUs and two GPUs, a slow one with four CPUs and one GPU, and a head without labels."""
    resources: list[dict[str, float]] = [{"CPU": 8, "GPU": 2}, {"CPU": 4, "GPU": 1}, {"CPU": 2}]
    nodes = [
        {"NodeID": name, "Alive": True, "Resources": has, "Labels": labels}
        for name, has, labels in zip("abc", resources, (FAST, SLOW, {}), strict=True)
    ]
    nodes.append({"NodeID": "d", "Alive": False, "Resources": {"CPU": 64}, "Labels": FAST})
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    free: dict[str, Any] = {"a": {"CPU": 3.0, "GPU": 1.0}, "b": {"CPU": 4.0, "GPU": 1.0}}
    monkeypatch.setattr(hardware, "unused_by_node", lambda: free)


@pytest.mark.parametrize("value", ["A100", "in(A100,H100)", "in(A100, H100)", "!T4", "!in(T4,L4)", "nvidia-a100.80_gb"])
def test_selectors_are_those_of_ray(value):
    labels = parse_labels([f"ray.io/accelerator-type={value}"])
    assert label_utils.validate_label_selector(labels) is None


@pytest.mark.parametrize(
    "text", ["kind", "kind=", "=fast", "kind=in()", "kind=a,b", "kind=in(a", "kind=!!a", "ki nd=a"]
)
def test_what_is_no_label_is_refused(text):
    with pytest.raises(UserError, match=r"--node-label .*: KEY=VALUE, such as"):
        parse_labels([text])


def test_a_label_is_named_once():
    with pytest.raises(UserError, match="kind is named twice"):
        parse_labels(["kind=fast", "kind=slow"])


@pytest.mark.parametrize(
    ("value", "nodes"),
    [("fast", [FAST]), ("in(slow,big)", [SLOW]), ("!fast", [SLOW, {}]), ("!in(fast,slow)", [{}]), ("other", [])],
)
def test_nodes_are_chosen_by_their_label(value, nodes):
    assert [node for node in (FAST, SLOW, {}) if matches(node, {"kind": value})] == nodes


def test_ray_chooses_the_same_nodes(ray_local):
    own = ray.nodes()[0]["Labels"]  # kind=tests
    asked = [{"kind": value} for value in ("tests", "in(tests,b)", "!b", "!in(a,b)", "b", "in(a,b)", "!tests")]
    asked += [{"absent": "!a"}, {"absent": "!in(a,b)"}, {"absent": "a"}, {"kind": "tests", "absent": "a"}]
    ran = ray.remote(num_cpus=0)(lambda: None)
    waiting = [ran.options(label_selector=labels).remote() for labels in asked]
    fitting = [reference for reference, labels in zip(waiting, asked, strict=True) if matches(own, labels)]
    ray.wait(fitting, num_returns=len(fitting), timeout=60)  # workers start late on a busy machine
    done, late = ray.wait(waiting, num_returns=len(waiting), timeout=3)
    for reference in late:
        ray.cancel(reference)
    assert [reference in done for reference in waiting] == [matches(own, labels) for labels in asked]


def test_all_labels_must_hold():
    wanted = {"kind": "in(fast,slow)", "ray.io/accelerator-type": "A100"}
    assert [matches(node, wanted) for node in (FAST, SLOW)] == [True, False]


def test_only_the_labelled_nodes_count(cluster):
    assert Resources.choose(None, None, 1, None, joined=True) == Resources(4, 1, 1, None, 3)
    assert Resources.choose(None, None, 1, None, joined=True, labels={"kind": "slow"}) == Resources(4, 1, 1, None, 1)
    assert Resources.choose(None, None, 1, None, joined=True, labels={"kind": "fast"}) == Resources(4, 1, 1, None, 2)
    assert Resources.choose(1, None, 2, None, joined=True, labels={"kind": "fast"}) == Resources(1, 1, 2, 1, 1)


def test_who_asks_for_a_type_of_gpu_gets_one_before_its_node_is_there(cluster):
    wanted = {"ray.io/accelerator-type": "H100"}
    assert Resources.choose(None, None, 1, None, joined=True, labels=wanted) == Resources(1, 1, 1, None, 0)
    assert Resources.choose(None, None, 1, None, joined=True, labels={"kind": "big"}).gpus == 0


def test_only_what_is_free_on_them_counts(cluster):
    assert unused_places(1, 0, {"kind": "fast"}) == 3
    assert unused_places(1, 1, {"kind": "in(fast,slow)"}) == 2
    assert unused_places(1, 0, {"kind": "!in(fast,slow)"}) == 0  # Ray does not tell of a node that is full


def test_what_is_waited_for_is_told(cluster):
    assert lacking(4, 1, 1, {"kind": "fast"}) == ""
    assert lacking(1, 1, 1, {"kind": "big"}).endswith("and Ray has 0 CPUs and 0 GPUs on 0 nodes with kind=big now")


def test_a_machine_alone_without_the_label_is_refused(cluster):
    with pytest.raises(UserError, match=r"--node-label kind=big: Ray has no such node; .*kind=slow; none$"):
        check_size(1, 0, 1, {"kind": "big"})
    with pytest.raises(UserError, match="--gpus-per-trial 2"):
        check_size(1, 2, 1, {"kind": "slow"})


def test_the_examples_of_the_documentation_run():
    assert doctest.testmod(node_labels).failed == 0
    assert doctest.testmod(node_labels).attempted == 3
