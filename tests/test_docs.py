"""The documentation: links lead somewhere, commands and calls are those of the program, README stays short."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main

import analysis
import fer_tune
from fer_tune.cli.main import app
from fer_tune.config import FIELDS

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / ".git").exists():
    pytest.skip("not a git checkout: a source distribution has no docs", allow_module_level=True)

TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
PAGES = sorted(name for name in TRACKED if name.endswith(".md"))
HISTORY = "CHANGELOG.md"  # it names what has moved since
NOTEBOOKS = sorted(name for name in TRACKED if name.endswith(".ipynb"))

LINES, WIDTH = 130, 160
"""Of README at most: one screen of what it is, two of use."""

PROGRAM = typer.main.get_command(app)

page = pytest.mark.parametrize("name", PAGES)


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, *languages: str) -> list[str]:
    """Return the code blocks of a page that are in one of ``languages``; "" is a block that names none."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", text(name), flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, language, block in found if language in languages]


def prose(name: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text(name), flags=re.MULTILINE | re.DOTALL)


def spans(name: str) -> list[str]:
    """Return what stands between single backticks, each on one line."""
    return [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(name))]


def anchors(name: str) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", prose(name), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@page
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(name)):
        if re.match(r"https?://|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        found = path.resolve().relative_to(ROOT).as_posix()
        assert path.exists(), f"{name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(found), f"{name} links to {target}: no such heading"


@page
def test_a_file_that_is_named_is_there(name: str) -> None:
    if name == HISTORY:
        return
    for span in spans(name):
        if re.fullmatch(r"(fer_tune|analysis|search_spaces|clusters|tests|docs)/[\w./-]+", span):
            known = (ROOT / span).exists() or "NAME" in span
            assert known, f"{name} names {span}"


def test_readme_is_short() -> None:
    lines = text("README.md").splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= WIDTH


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", text("docs/README.md")))
    assert linked == {Path(name).name for name in PAGES if Path(name).parent == Path("docs")} - {"README.md"}
    assert "docs/README.md" in text("README.md")


def commands(name: str) -> list[str]:
    """Return every command in the code blocks of a page, from ``fer-tune`` on and without its comment."""
    joined = [re.sub(r"\\\n\s*", "", block) for block in blocks(name, "", "bash", "sh", "yaml")]
    lines = [line for block in joined for line in block.splitlines()]
    return [match[1] for line in lines if (match := re.match(r"#?[^#]*?\b(fer-tune [a-z-].*)", line))]


def parsed(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words name, and the words that are left for it."""
    command: Any = PROGRAM
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]!r}; there are {', '.join(command.commands)}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def check_options(told: str) -> None:
    """Assert that the command exists and takes each option that is named; values and arguments may be left out."""
    command, rest = parsed(shlex.split(told, comments=True)[1:])
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        if word.startswith("--"):
            assert word.partition("=")[0] in known | {"--help"}, f"{told}: no option {word}"


@page
def test_commands_are_those_of_the_program(name: str) -> None:
    for told in commands(name):
        check_options(told)
        words = shlex.split(told, comments=True)[1:]
        command, rest = parsed(words)
        if "..." not in words and "--help" not in words:
            command.make_context(told, rest)  # raises what the program would say


@page
def test_commands_in_the_text_are_those_of_the_program(name: str) -> None:
    for span in spans(name):
        first, *others = re.split(r" \| | / ", span)
        if not first.startswith("fer-tune ") or not first.split()[1].islower():  # `fer-tune COMMAND --help`
            continue
        check_options(first.replace("…", "..."))
        group, _ = parsed(shlex.split(first)[1:-1])
        for other in others:  # `fer-tune published list | show | run`
            assert other in getattr(group, "commands", {}), f"{name}: `{span}`"


def test_what_checks_commands_sees_a_wrong_one() -> None:
    for wrong in ("fer-tune seek", "fer-tune search --dat x", "fer-tune data prepare x --train"):
        with pytest.raises(AssertionError):
            check_options(wrong)


def targets() -> set[str]:
    return set(re.findall(r"^\.PHONY: (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@page
def test_make_targets_exist(name: str) -> None:
    told = [line for block in blocks(name, "", "bash", "sh") for line in block.splitlines()]
    for line in (*spans(name), *told):
        if match := re.match(r"make ([a-z-]+)", line.strip()):
            assert match[1] in targets(), f"{name}: {line}"


# Python: what is called is there, and takes what it is given. `run` is an `analysis.Run`.


def has(owner: Any, name: str) -> bool:
    own = {field.name for field in fields(owner)} if owner is analysis.Run else set()
    return name in own or hasattr(owner, name)


def calls(tree: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield the owner's name, the name of what is called, and the call, of every ``owner.name(...)``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)):
                yield owner, name, node


def check_python(source: str) -> None:
    """Assert that a block parses, its imports are there, and calls of ``fer_tune`` and ``run`` fit their signatures."""
    owners: dict[str, Any] = {"fer_tune": fer_tune, "run": analysis.Run}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("fer_tune", "analysis"):
            module = importlib.import_module(node.module)
            for each in node.names:
                assert hasattr(module, each.name), f"from {node.module} import {each.name}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in owners:
            assert has(owners[node.value.id], node.attr), f"no {node.value.id}.{node.attr}"
    for owner, name, call in calls(tree):
        if owner not in owners:
            continue
        positional: list[Any] = [None] * (len(call.args) + (owner == "run"))  # self
        named = {keyword.arg: None for keyword in call.keywords if keyword.arg is not None}
        try:
            inspect.signature(getattr(owners[owner], name)).bind(*positional, **named)
        except TypeError as error:
            raise AssertionError(f"{ast.unparse(call)}: {error}") from None


@page
def test_python_is_that_of_the_package(name: str) -> None:
    for block in blocks(name, "python"):
        check_python(block)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_s_python_is_that_of_the_package(name: str) -> None:
    cells = json.loads(text(name))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            check_python("".join(cell["source"]))


@pytest.mark.parametrize(
    "wrong",
    [
        "fer_tune.serch(data=1, backbone=2)",
        "fer_tune.search(data=1, backbone=2, trails=3)",
        "fer_tune.search(data=1)",
        "run.refit(best=3)",
        "run.best_setting",
        "from analysis import load_runs",
    ],
)
def test_what_checks_python_sees_a_wrong_call(wrong: str) -> None:
    with pytest.raises(AssertionError):
        check_python(wrong)


def test_every_setting_of_a_trial_is_named() -> None:
    assert set(FIELDS) <= set(spans("docs/searching.md"))
