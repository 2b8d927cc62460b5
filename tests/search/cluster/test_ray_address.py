"""What RAY_ADDRESS may say is told at once where it cannot be joined."""

from __future__ import annotations

import socket

import pytest

from fer_tune.errors import UserError
from fer_tune.search.cluster import ray_session
from fer_tune.search.cluster.ray_address import check_answers, named_cluster


@pytest.mark.parametrize(("said", "found"), [("", ""), (" ", ""), ("local", ""), ("auto", "auto")])
def test_this_machine_is_no_cluster(monkeypatch: pytest.MonkeyPatch, said: str, found: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", said)
    assert named_cluster() == found


def test_an_address_where_something_answers_is_left_to_ray() -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        check_answers(f"127.0.0.1:{head.getsockname()[1]}")
    check_answers("auto")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", r"no Ray answers there \(.*\); start the cluster, .*or unset RAY_ADDRESS"),
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
