"""The files of `ray up`: Ray's own loader and schema take them, and they say what they are to say."""

from __future__ import annotations

import copy
import subprocess
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from shipped import check_fer_tune, check_ray_start, commands_in, header, secrets_in, text

CLOUDS = ("aws.yaml", "gcp.yaml")
FILES = (*CLOUDS, "on-premise.yaml")


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load(text(name))


@pytest.mark.parametrize("name", FILES)
def test_ray_takes_it(name: str) -> None:
    prepared = prepare_config(load(name))
    validate_config(prepared)
    # What Ray adds where a file is silent would install a Ray of its own over the image's.
    assert prepared["setup_commands"] == prepared["head_setup_commands"] == prepared["worker_setup_commands"] == []


@pytest.mark.parametrize("name", FILES)
def test_ray_would_refuse_a_slip(name: str) -> None:
    """The check above can fail: a misspelt field and a wrong type are refused."""
    for slip in ({"idle_timeout_minuts": 10}, {"idle_timeout_minutes": "ten"}, {"worker_setup_commands": "x"}):
        with pytest.raises((jsonschema.ValidationError, TypeError)):
            validate_config(prepare_config({**load(name), **slip}))


@pytest.mark.parametrize("name", FILES)
def test_it_opens_with_its_commands(name: str) -> None:
    commands = commands_in(header(name))
    assert f"ray up clusters/{name}" in commands
    assert f"ray down clusters/{name}" in commands
    assert any(command.startswith("export RAY_AUTH_MODE=token") for command in commands)
    submit = [command for command in commands if command.startswith("ray job submit")]
    assert submit
    assert all("--runtime-env clusters/runtime_env.yaml" in command and check_fer_tune(command) for command in submit)
    assert "Cost:" in header(name)


@pytest.mark.parametrize("name", FILES)
def test_every_ray_has_the_token(name: str) -> None:
    """Ray 2.60 turns tokens on by itself on one side only, so each start sets the mode; the token comes from a file."""
    config = load(name)
    starts = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in config[key]
        if "ray start" in command
    ]
    assert len(starts) == 2
    head, worker = map(check_ray_start, starts)
    assert (head["head"], worker["head"]) == (True, False)
    assert head["autoscaling_config"] == "~/ray_bootstrap_config.yaml"
    assert worker["address"] == "$RAY_HEAD_IP:6379"
    assert all("RAY_AUTH_MODE=token" in command.split("ray start")[0] for command in starts)
    assert config["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
    if "docker" in config:
        assert "--env RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert not secrets_in(text(name))


@pytest.mark.parametrize("name", FILES)
def test_nothing_listens_in_public(name: str) -> None:
    config = load(name)
    head = next(command for command in config["head_start_ray_commands"] if "ray start" in command)
    assert "--dashboard-host=" in head
    assert "0.0.0.0" not in text(name)
    if name in CLOUDS:
        assert config["provider"]["use_internal_ips"] is True
    else:
        assert config["provider"]["head_ip"].startswith("10.")


@pytest.mark.parametrize("name", FILES)
def test_its_commands_are_shell(name: str) -> None:
    config = load(name)
    for key in ("initialization_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        for command in config[key]:
            assert " #" not in command, "Ray puts commands in brackets, which a comment would swallow"
            subprocess.run(["bash", "-n", "-c", f"( {command} )"], check=True)


@pytest.mark.parametrize("name", CLOUDS)
def test_workers_come_from_zero_on_the_spot_market_and_go(name: str) -> None:
    config = prepare_config(load(name))
    head, worker = (config["available_node_types"][kind] for kind in ("head", "gpu"))
    assert config["head_node_type"] == "head"
    assert head["resources"]["CPU"] == 0  # no trial on the head
    assert worker["min_workers"] == 0 < worker["max_workers"] <= config["max_workers"]
    assert worker["resources"]["GPU"] >= 1
    assert 1 <= config["idle_timeout_minutes"] <= 30
    node = worker["node_config"]
    if name == "aws.yaml":
        assert node["InstanceMarketOptions"]["MarketType"] == "spot"
        assert "InstanceMarketOptions" not in head["node_config"]
        tags = [tag["Key"] for entry in node["TagSpecifications"] for tag in entry["Tags"]]
        assert {"project", "owner"} <= set(tags)
        assert node["MetadataOptions"]["HttpTokens"] == "required"
        assert config["provider"]["cache_stopped_nodes"] is False
    else:
        assert node["scheduling"]["provisioningModel"] == "SPOT"
        assert "scheduling" not in head["node_config"]
        assert {"project", "owner"} <= node["labels"].keys()
        for each in (head, worker):
            assert all("accessConfigs" not in network for network in each["node_config"]["networkInterfaces"])


@pytest.mark.parametrize("name", CLOUDS)
def test_the_storage_is_shared_with_the_container(name: str) -> None:
    config = load(name)
    assert any("mount -t nfs" in command for command in config["initialization_commands"])
    assert "--volume /shared:/shared" in config["docker"]["run_options"]
    assert "--storage /shared/" in header(name)


def test_all_listed_hosts_are_kept() -> None:
    config = load("on-premise.yaml")
    hosts = len(config["provider"]["worker_ips"])
    [node_type] = prepare_config(copy.deepcopy(config))["available_node_types"].values()
    assert node_type["min_workers"] == node_type["max_workers"] == hosts
