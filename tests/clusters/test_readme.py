"""clusters/README.md: its commands are those of the program, its files are there, and it holds no secret."""

from __future__ import annotations

import re

from shipped import check_fer_tune, secrets_in, text

import clusters

FILES = {"aws.yaml", "gcp.yaml", "on-premise.yaml", "slurm.sh", "Dockerfile", "wait_for.py", "runtime_env.yaml"}


def test_its_commands_are_those_of_fer_tune() -> None:
    blocks = re.findall(r"```bash\n(.*?)```", text("README.md"), flags=re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    assert sum(check_fer_tune(line) for line in lines if not line.startswith("#")) >= 3


def test_it_names_every_file() -> None:
    named = set(re.findall(r"\]\(([\w./-]+)\)", text("README.md")))
    assert named >= FILES | {"kuberay/raycluster.yaml", "kuberay/rayjob.yaml"}
    for name in named:
        assert clusters.path(name)


def test_it_holds_no_secret() -> None:
    assert not secrets_in(text("README.md"))


def test_what_tells_a_secret_finds_one() -> None:
    for secret in ("RAY_AUTH_TOKEN=0123456789abcdef0123", "api_key: 'abcdefghij0123456789'", "AKIAABCDEFGHIJKLMNOP"):
        assert secrets_in(secret), secret
    assert not secrets_in('RAY_AUTH_TOKEN_PATH=$HOME/.ray/auth_token; --from-literal=auth_token="$(openssl rand 32)"')
