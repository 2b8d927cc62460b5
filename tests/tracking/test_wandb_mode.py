from __future__ import annotations

from pathlib import Path

import pytest

from fer_tune.errors import UserError
from fer_tune.tracking.mode import resolve_mode

KEY = "0123456789abcdef" * 3  # well-formed, nobody's


def test_auto_is_offline_without_a_key() -> None:
    assert resolve_mode("auto") == "offline"


def test_auto_is_online_with_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert resolve_mode("auto") == resolve_mode("online") == "online"


def test_auto_is_online_after_a_login_to_that_server_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "home" / "netrc"
    netrc.write_text(f"machine elsewhere.example\n  login user\n  password {KEY}\n")
    netrc.chmod(0o600)
    assert resolve_mode("auto") == "offline"
    netrc.write_text(f"machine 127.0.0.1:9\n  login user\n  password {KEY}\n")
    assert resolve_mode("auto") == "online"


@pytest.mark.parametrize("choice", ["offline", "disabled"])
def test_a_mode_that_is_asked_for_outweighs_key_and_environment(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert resolve_mode(choice) == choice


@pytest.mark.parametrize(("value", "mode"), [("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")])
def test_auto_follows_wandb_mode(value: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", value)
    assert resolve_mode("auto") == mode


def test_online_without_a_key_names_the_cure() -> None:
    with pytest.raises(UserError, match=r"--wandb online: no W&B API key.*wandb login.*WANDB_API_KEY.*offline"):
        resolve_mode("online")


def test_online_by_the_environment_without_a_key_names_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError, match="WANDB_MODE online: no W&B API key"):
        resolve_mode("auto")


def test_a_key_that_cannot_be_one_is_told_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "tooshortsecret")
    with pytest.raises(UserError, match=r"WANDB_API_KEY is not valid: .*40") as error:
        resolve_mode("online")
    assert resolve_mode("auto") == "offline"
    assert "recording offline" in caplog.text
    assert "tooshortsecret" not in str(error.value) + caplog.text


def test_unknown_modes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="--wandb ofline: no such mode; did you mean 'offline'"):
        resolve_mode("ofline")
    monkeypatch.setenv("WANDB_MODE", "nowhere")
    with pytest.raises(UserError, match="WANDB_MODE=nowhere: no such mode; the modes are"):
        resolve_mode("auto")
