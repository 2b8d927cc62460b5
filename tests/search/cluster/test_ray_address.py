"""What RAY_ADDRESS may say is told at once where it cannot be joined."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from fer_tune.errors import UserError
from fer_tune.search.cluster import ray_address, ray_session
from fer_tune.search.cluster.ray_address import check_answers, named_cluster


@pytest.mark.parametrize(("said", "found"), [("", ""), (" ", ""), ("local", ""), ("auto", "auto")])
def test_this_machine_is_no_cluster(monkeypatch: pytest.MonkeyPatch, said: str, found: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", said)
    assert named_cluster() == found


def test_an_address_where_something_answers_is_left_to_ray() -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        check_answers(f"127.0.0.1:{head.getsockname()[1]}")


@pytest.mark.parametrize(
    ("here", "told"),
    [
        ("", r"RAY_ADDRESS=auto: .* none runs here; `unset RAY_ADDRESS` .*, or start one with `ray start --head`"),
        ("127.0.0.1:1", r"RAY_ADDRESS=auto, which is 127\.0\.0\.1:1 here: no Ray answers there .*`unset RAY_ADDRESS`"),
    ],
)
def test_auto_is_looked_up_before_ray_waits_for_one_that_ended(
    monkeypatch: pytest.MonkeyPatch, here: str, told: str
) -> None:
    monkeypatch.setattr(ray_address, "ray_here", lambda: here)
    with pytest.raises(UserError, match=told):
        check_answers("auto", 0.1)


def test_a_ray_that_is_joined_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    joined = SimpleNamespace(address_info={"address": "10.0.0.1:6379", "webui_url": ""})
    monkeypatch.setattr(ray_session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_session.ray, "init", lambda **options: joined)
    monkeypatch.setattr(ray_session.ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray_session, "check_answers", lambda named: None)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with ray_session.ray_session() as is_cluster:
        told = capsys.readouterr().err
    assert is_cluster
    assert told.startswith("RAY_ADDRESS=auto: what is trained runs on the Ray at 10.0.0.1:6379, ")
    assert "`unset RAY_ADDRESS`" in told


def test_ray_on_this_machine_alone_is_not_worth_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray_session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_session.ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray_session, "start_ray", lambda **options: None)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    with ray_session.ray_session() as is_cluster:
        assert not is_cluster
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("address", "refused"), [("local", True), ("head:6379", False)])
def test_a_refit_too_large_for_this_machine_waits_for_no_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, refused: bool
) -> None:
    """It would wait for ever: ``local`` is no cluster that grows."""
    from analysis.refits.training import RayPool

    monkeypatch.setattr(ray_session.ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setenv("RAY_ADDRESS", address)
    if refused:
        with pytest.raises(UserError, match="--cpus-per-trial: 3 asked for a refit"):
            RayPool(tmp_path, cpus=3, gpus=0)
    else:
        RayPool(tmp_path, cpus=3, gpus=0)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", r"no Ray answers there \(.*\); start the cluster, .*or `unset RAY_ADDRESS`"),
        ("127.0.0.1:99999", "no Ray answers there"),
        ("http://127.0.0.1:8265", r"`ray job submit --address http://127\.0\.0\.1:8265 -- fer-tune \.\.\.`"),
        ("ray://127.0.0.1:10001", r"does not run through Ray Client, .*RAY_ADDRESS=head:6379"),
    ],
)
def test_what_cannot_be_joined_is_told_before_ray_is_asked(
    monkeypatch: pytest.MonkeyPatch, address: str, told: str
) -> None:
    monkeypatch.setattr(ray_session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_session.ray, "init", lambda **options: pytest.fail("Ray was asked"))
    monkeypatch.setattr(ray_session, "check_answers", lambda named: check_answers(named, 0.1))
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=told), ray_session.ray_session():
        pytest.fail("it began")
