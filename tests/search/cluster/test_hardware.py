from __future__ import annotations

import doctest

import pytest
import ray

from fer_tune.errors import UserError
from fer_tune.search.cluster import hardware
from fer_tune.search.cluster.hardware import Resources, check_size, fitting, lacking, places


@pytest.fixture
def cluster(monkeypatch):
    """Takes the (CPUs, GPUs) of each node that is alive; one that has died is there too."""

    def have(*nodes: tuple[float, float]) -> None:
        found = [{"Alive": True, "Resources": {"CPU": cpus} | ({"GPU": gpus} if gpus else {})} for cpus, gpus in nodes]
        monkeypatch.setattr(ray, "nodes", lambda: [*found, {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 99.0}}])

    return have


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers", "expected"),
    [
        (2, 0, 1, Resources(1, 0, 1, 2, 2)),  # a small laptop: one thread a trial
        (16, 0, 1, Resources(4, 0, 1, 4, 4)),  # a workstation: four side by side
        (16, 1, 1, Resources(8, 1, 1, 1, 1)),
        (64, 8, 1, Resources(8, 1, 1, 8, 8)),
        (10, 4, 1, Resources(2, 1, 1, 4, 4)),
        (16, 0, 2, Resources(2, 0, 2, 4, 4)),
        (64, 8, 2, Resources(8, 1, 2, 4, 4)),
    ],
)
def test_what_is_left_open_follows_the_machine(cluster, cpus, gpus, workers, expected):
    cluster((cpus, gpus))
    assert Resources.choose(None, None, workers, None) == expected


def test_what_is_asked_for_is_given(cluster):
    cluster((16, 1))
    assert Resources.choose(2, 0.25, 1, None) == Resources(2, 0.25, 1, 4, 4)
    assert Resources.choose(2, 0.25, 1, 3).concurrent == 3
    assert Resources.choose(2, 0.25, 1, 99).concurrent == 4
    assert Resources.choose(1, 0, 1, None).gpus == 0


def test_a_part_of_a_gpu_brings_its_part_of_the_cpus(cluster):
    cluster((16, 1))
    assert Resources.choose(None, 0.25, 1, None) == Resources(4, 0.25, 1, 4, 4)
    cluster((2, 1))
    assert Resources.choose(None, 0.25, 1, None) == Resources(1, 0.25, 1, 2, 2)


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers", "message"),
    [
        (3, None, 1, r"--cpus-per-trial 3: .*a trial needs 3, but Ray has 2"),
        (2, None, 2, r"--cpus-per-trial 2: with 2 workers a trial needs 4"),
        (1, 1, 1, r"--gpus-per-trial 1: .*but Ray has 0"),
    ],
)
def test_more_than_there_is_is_refused_on_a_machine_and_waited_for_on_a_cluster(cluster, cpus, gpus, workers, message):
    cluster((2, 0))
    with pytest.raises(UserError, match=message):
        Resources.choose(cpus, gpus, workers, None)
    chosen = Resources.choose(cpus, gpus, workers, None, joined=True)
    assert (chosen.cpus, chosen.fits, chosen.at_once) == (cpus, 0, 1)
    assert "and Ray has 2 CPUs and 0 GPUs on 1 node now" in lacking(chosen.cpus, chosen.gpus, workers)


def test_a_cluster_says_how_many_from_moment_to_moment(cluster):
    cluster((0, 0), (16, 2), (16, 2))  # a head that trains nothing, and two nodes
    assert Resources.choose(None, None, 1, None, joined=True) == Resources(8, 1, 1, None, 4)
    assert Resources.choose(None, None, 1, 3, joined=True).concurrent == 3
    assert Resources.choose(None, None, 1, 99, joined=True).concurrent == 99  # there may be room later
    assert Resources.choose(None, None, 2, None, joined=True) == Resources(8, 1, 2, 2, 2)  # Tune does not count groups
    cluster((0, 0))
    empty = Resources.choose(None, 1, 1, None, joined=True)
    assert empty == Resources(1, 1, 1, None, 0)
    assert lacking(empty.cpus, empty.gpus, 1).startswith("a trial needs 1 CPU and 1 GPU on one node, and Ray has 0 ")


def test_a_trial_fits_on_the_smallest_node(cluster):
    cluster((4, 0), (4, 0), (4, 0), (4, 0), (64, 0))
    assert Resources.choose(None, None, 1, None, joined=True).cpus == 1  # not a fourth of all 80
    cluster((32, 0), (4, 1), (16, 2))
    assert Resources.choose(None, None, 1, None, joined=True) == Resources(4, 1, 1, None, 3)


def test_places_are_counted_node_by_node(cluster):
    nodes = [{"CPU": 3.0, "GPU": 1.0}, {"CPU": 3.0, "GPU": 2.0}, {"CPU": 8.0}]
    assert places(nodes, 2, 0) == 6  # 7 by the sum of their CPUs
    assert places(nodes, 2, 1) == 2
    assert places(nodes, 0.5, 0.5) == 6
    assert fitting({"CPU": 0.9, "GPU": 0.3}, 0.3, 0.1) == 3  # 0.9 / 0.3 is 3.0000000000000004, 0.3 / 0.1 a little less
    cluster((2, 0), (2, 0))
    assert lacking(1, 0, 4) == ""
    assert (
        lacking(2, 0, 3)
        == "a trial needs 3 times 2 CPUs, each on one node, and Ray has 4 CPUs and 0 GPUs on 2 nodes now"
    )


def test_a_size_is_checked_again(cluster):
    cluster((2, 0))
    check_size(1, 0, 2)
    with pytest.raises(UserError, match="--gpus-per-trial"):
        check_size(1, 1, 1)


def test_the_examples_of_the_documentation_run():
    assert doctest.testmod(hardware) == (0, 1)
