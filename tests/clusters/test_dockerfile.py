"""The container image's recipe, instruction by instruction; with hadolint.

No image is built: that needs a Docker daemon and the network.
"""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path, PurePosixPath

import pytest
from shipped import check_fer_tune, checker, commands_in, header, secrets_in, text

import clusters

ROOT = Path(__file__).resolve().parents[2]


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, the rest on one line)."""
    lines = [line for line in text("Dockerfile").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_it_is_built_in_stages_from_a_fixed_base() -> None:
    bases = of("FROM")
    assert len(bases) == 2
    assert all(base.startswith("python:${PYTHON}-slim-bookworm") for base in bases)
    assert instructions()[0] == ("ARG", "PYTHON=3.11")
    last = [name for name, _ in instructions()][[n for n, _ in instructions()].index("USER") :]
    assert not {"RUN", "COPY", "ADD"} & set(last)  # nothing is written after root is left
    assert [copied for copied in of("COPY") if copied.startswith("--from=build")] == [
        "--from=build /opt/venv /opt/venv"
    ]


def test_it_does_not_run_as_root() -> None:
    [user] = of("USER")
    assert user == "1000:1000"
    assert any("--uid 1000" in run for run in of("RUN"))


def test_versions_are_those_of_the_lock() -> None:
    [install] = [run for run in of("RUN") if "--requirements pyproject.toml" in run]
    assert "--constraints requirements.lock" in install
    [code] = [run for run in of("RUN") if run.rstrip().endswith("true; }")]
    assert "--no-deps ." in code
    assert re.search(r"uv==\d+\.\d+\.\d+", text("Dockerfile"))


@pytest.mark.parametrize(
    ("variant", "code", "told"), [("cuda", 0, ""), ("cpu", 0, "--torch-backend=cpu"), ("tpu", 2, "one of cuda, cpu")]
)
def test_the_variants(variant: str, code: int, told: str) -> None:
    [install] = [run for run in of("RUN") if "--requirements pyproject.toml" in run]
    script = re.sub(r"^(--mount=\S+\s+)+", "", install).replace("uv pip", "echo uv pip")
    done = subprocess.run(
        ["sh", "-c", script],
        env={"VARIANT": variant, "EXTRA": "boto3>=1.35,<2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert told in done.stdout + done.stderr
    assert ("--torch-backend" in done.stdout) == (variant == "cpu")
    assert done.stdout.strip().endswith("boto3>=1.35,<2") == (code == 0)


def test_the_options_are_those_of_uv() -> None:
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    if not uv.exists():
        pytest.skip("needs uv, which `make setup` installs")
    known = subprocess.run([uv, "pip", "install", "--help"], capture_output=True, text=True, check=True).stdout
    used = {option for run in of("RUN") if "uv pip install" in run for option in re.findall(r"\s(--[a-z-]+)", run)}
    assert "--torch-backend" in known
    assert {option for option in used if option != "--mount" and option not in known} == set()


def test_every_command_is_shell() -> None:
    for run in of("RUN"):
        subprocess.run(["sh", "-n", "-c", re.sub(r"^(--mount=\S+\s+)+", "", run)], check=True)


def test_it_copies_what_is_there_and_docker_sees_no_more() -> None:
    copied = {name.rstrip("/") for rest in of("COPY") if not rest.startswith("--from") for name in rest.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied), copied
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages <= copied
    first, *others = [
        line for line in text("Dockerfile.dockerignore").splitlines() if line and not line.startswith("#")
    ]
    assert first == "**"
    assert {PurePosixPath(line[1:]).name for line in others if line.startswith("!")} == copied


def test_it_holds_no_secret_and_turns_the_token_on() -> None:
    assert not secrets_in(text("Dockerfile"))
    named = [rest for name in ("ENV", "ARG") for rest in of(name)]
    assert not re.search(r"(?i)(auth_token|password|api_key|secret)\b", " ".join(named))
    assert "RAY_AUTH_MODE=token" in " ".join(of("ENV"))


def test_it_opens_with_its_commands() -> None:
    commands = commands_in(header("Dockerfile"))
    assert sum(command.startswith("docker build --file clusters/Dockerfile") for command in commands) == 3
    assert any("VARIANT=cpu" in command for command in commands)
    assert sum(check_fer_tune(command) for command in commands if "docker run" in command) == 2


def test_hadolint_has_nothing_to_say() -> None:
    file = str(clusters.path("Dockerfile"))
    done = subprocess.run([checker("hadolint"), file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
