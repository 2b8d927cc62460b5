"""A search space file as a document: each value with the file and line it stands on, and what the file extends.

YAML is read so that a key given twice is reported and 1e-4 is a number.  What several files share stands in one, by
`extends:`.

A space file takes ranges and fixed values from another, a published entry its settings and reasons::

    extends: _common/finetune.yaml
    without: [momentum]               # what the other file searches or fixes and this one does not
    search:
      batch_size: {choice: [8, 16]}   # in place of the other file's

    published:
      - extends: _published/ostim-2024.yaml
        name: ostim-2024/resnet50
        config: {freeze_depth: 4}

A name is looked up beside the file that extends, then among the shipped files.  The file's own values win, and a
reason of ``null`` under ``chosen`` takes an inherited one away (this paper does give the value); every value keeps its
own file and line for messages.
"""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

from fer_tune.errors import nearest

SHIPPED = "search_spaces"
"""The package that holds the shipped files."""

_SPACE = ("search", "fixed")
_ENTRY = ("config", "chosen", "reported")

Path = tuple[str | int, ...]
"""The keys and indices from the top of a document to a value."""


class _Loader(yaml.SafeLoader):
    """PyYAML follows YAML 1.1, where 1e-4 is a string, 010 is eight and 1:30 ninety; numbers here are those of 1.2."""


_NUMBERS = {
    "int": r"[-+]?(0|[1-9]\d*|0x[0-9a-fA-F]+)",
    "float": r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
_OTHERWISE = {f"tag:yaml.org,2002:{kind}" for kind in (*_NUMBERS, "timestamp")}  # nothing here is a date
_Loader.yaml_implicit_resolvers = {
    sign: [each for each in known if each[0] not in _OTHERWISE]
    for sign, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"^(?:{_pattern})$", re.ASCII), list("-+.0123456789")
    )


@dataclass
class Document:
    """Plain data, with the line of each value.

    Attributes:
        where: what to call it in a message: a file, usually.
        data: dicts, lists and scalars; None when the text cannot be parsed at all.
        lines: path -> line, 1-based; empty for data that does not come from a text.
        files: path -> the file that the value came from, where it is another one than ``where``.
        faults: ``(file, line, sentence)`` of what is wrong with the text itself.
    """

    where: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    files: dict[Path, str] = field(default_factory=dict)
    faults: list[tuple[str, int, str]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of ``path``, or of the nearest value that holds it; 0 when none is known."""
        return self.lines.get(self._known(path), 0)

    def file(self, path: Path) -> str:
        """Return the file that :meth:`line` is a line of."""
        return self.files.get(self._known(path), self.where)

    def fault(self, at: Path | int, sentence: str) -> None:
        """Note what is wrong with the text itself, on a line or where a value stands."""
        file, line = (self.where, at) if isinstance(at, int) else (self.file(at), self.line(at))
        self.faults.append((file, line, sentence))

    def _known(self, path: Path) -> Path:
        while path and path not in self.lines:
            path = path[:-1]
        return path


def read(text: str, where: str) -> Document:
    """Parse one YAML document; faults are collected in the result, none is raised."""
    document = Document(where)
    loader = None
    try:
        loader = _Loader(text)  # looks through all characters
        node = loader.get_single_node()
        if node is not None:
            document.data = _build(loader, node, (), document, [])
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.fault(mark.line + 1 if mark else 1, f"not valid YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError) as error:  # a character that YAML forbids, a number of thousands of digits
        document.fault(1, f"not valid YAML: {' '.join(str(error).split())}")
    except RecursionError:
        document.fault(1, "not valid YAML: brackets within brackets, hundreds deep")
    finally:
        if loader is not None:
            loader.dispose()
    return document


def _build(loader: _Loader, node: yaml.Node, path: Path, document: Document, open_nodes: list[int]) -> Any:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in open_nodes:
        raise yaml.MarkedYAMLError(problem="an alias refers to what holds it", problem_mark=node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        return [
            _build(loader, item, (*path, index), document, [*open_nodes, id(node)])
            for index, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.MappingNode):
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                document.fault(line, "a key must be a plain name")
                continue
            key = str(key_node.value)
            if key in values:
                place = ".".join(str(part) for part in (*path, key))
                document.fault(line, f"{place}: given twice, first on line {document.lines[(*path, key)]}")
                continue
            document.lines[(*path, key)] = line
            values[key] = _build(loader, value_node, (*path, key), document, [*open_nodes, id(node)])
        return values
    return loader.construct_object(node)


def read_extended(text: str, where: str, folder: pathlib.Path | None = None) -> Document:
    """Parse a search space and everything that it extends; faults are collected in the result, none is raised.

    Args:
        text: of the file.
        where: what to call it in messages.
        folder: that it lies in; None for a shipped file.
    """
    document = read(text, where)
    _resolve(document, folder, (where,))
    if isinstance(document.data, dict) and isinstance(document.data.get("published"), list):
        entries = document.data["published"]
        for index, entry in enumerate(entries):
            if isinstance(entry, dict) and "extends" in entry:
                whole = _extended(document, ("published", index), entry, folder, (where,), _ENTRY)
                if isinstance(whole.get("chosen"), dict):
                    whole["chosen"] = {name: why for name, why in whole["chosen"].items() if why is not None}
                entries[index] = whole
    return document


def _resolve(document: Document, folder: pathlib.Path | None, chain: tuple[str, ...], entry: bool = False) -> None:
    if isinstance(document.data, dict) and "extends" in document.data:
        document.data = _extended(document, (), document.data, folder, chain, _ENTRY if entry else _SPACE)
    elif isinstance(document.data, dict) and not entry and "without" in document.data:
        document.fault(("without",), "without: there is nothing to leave out where nothing is extended")
        del document.data["without"]


def _extended(
    document: Document,
    at: Path,
    own: dict[str, Any],
    folder: pathlib.Path | None,
    chain: tuple[str, ...],
    sections: tuple[str, ...],
) -> dict[str, Any]:
    """Return the mapping ``own`` of ``document`` at ``at``, completed by the files that it extends."""
    own = dict(own)
    named = own.pop("extends")
    names = named if isinstance(named, list) else [named]
    dropped = _dropped(document, own) if sections is _SPACE else []
    offered: set[str] = set()
    for name in reversed(names):  # of several files, a later one wins
        base = _read_base(document, (*at, "extends"), name, folder, chain, sections is _ENTRY)
        if base is None or not isinstance(base.data, dict):
            continue
        offered |= {key for section in sections for key in base.data.get(section) or {}}
        own = _completed(document, at, own, base, sections, dropped)
    for name in dropped:
        if name not in offered:
            hint = nearest(name, offered) or f"they set {', '.join(sorted(offered))}"
            document.fault(("without",), f"without: the files that it extends set no {name}; {hint}")
    return own


def _dropped(document: Document, own: dict[str, Any]) -> list[str]:
    given = own.pop("without", None)
    if given is None:
        return []
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return given
    document.fault(("without",), f"without: should be [setting, setting, ...], but it is {given!r}")
    return []


def _completed(
    document: Document,
    at: Path,
    own: dict[str, Any],
    base: Document,
    sections: tuple[str, ...],
    dropped: list[str],
) -> dict[str, Any]:
    """Return ``own`` with what ``base`` has beyond it, in the order of ``base``."""
    mine = {section: own.get(section) or {} for section in sections}
    hidden = set(dropped)
    if sections is _SPACE:  # a setting searched here is not fixed there, nor the other way round
        hidden |= {name for part in mine.values() if isinstance(part, dict) for name in part}
    merged: dict[str, Any] = {}
    for key, value in base.data.items():
        if key in sections and isinstance(value, dict) and isinstance(mine[key], dict):
            part = {}
            for name, inherited in value.items():
                if name in mine[key]:
                    part[name] = mine[key][name]
                elif name not in hidden:
                    part[name] = inherited
                    _copy_lines(document, (*at, key, name), base, (key, name))
            merged[key] = {**part, **mine[key]}
            if (*at, key) not in document.lines:
                _copy_lines(document, (*at, key), base, (key,), deep=False)
        elif key not in own and (key != "published" or own.get("backbone") in (None, base.data.get("backbone"))):
            merged[key] = value  # published entries are of one backbone
            _copy_lines(document, (*at, key), base, (key,))
    return {**merged, **{key: value for key, value in own.items() if key not in merged}}


def _copy_lines(document: Document, to: Path, base: Document, source: Path, deep: bool = True) -> None:
    for path, line in base.lines.items():
        if path[: len(source)] == source and (deep or path == source):
            target = (*to, *path[len(source) :])
            document.lines[target] = line
            document.files[target] = base.file(path)


def _read_base(
    document: Document, at: Path, name: Any, folder: pathlib.Path | None, chain: tuple[str, ...], entry: bool
) -> Document | None:
    place = ".".join(map(str, at))
    if not isinstance(name, str) or not name.strip():
        document.fault(at, f"{place}: should name a file, but it is {name!r}")
        return None
    file = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    beside = None if folder is None else folder / file
    if beside is not None and beside.is_file():
        where, below = str(beside), beside.parent
        try:
            text = beside.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            document.fault(at, f"{place}: {beside} cannot be read as text: {error}")
            return None
    else:
        shipped = resources.files(SHIPPED).joinpath(*pathlib.PurePosixPath(file).parts)
        if ".." in file or file.startswith("/") or not shipped.is_file():
            hint = nearest(file, _shipped_files())
            looked = f"neither in {folder} nor " if folder is not None else "not "
            hint = f"; {hint}" if hint else ""
            document.fault(at, f"{place}: no such file: {file}, {looked}among the shipped ones{hint}")
            return None
        where, below, text = file, None, shipped.read_text(encoding="utf-8")
    if where in chain:
        document.fault(at, f"{place}: {where} extends itself: {' extends '.join((*chain, where))}")
        return None
    base = read(text, where)
    if not isinstance(base.data, dict) and not base.faults:
        base.fault((), "should hold `key: value` lines")
    _resolve(base, below, (*chain, where), entry)
    document.faults += base.faults
    return base


def _shipped_files() -> list[str]:
    folder = resources.files(SHIPPED)
    found = []
    for item in folder.iterdir():
        if item.name.endswith(".yaml"):
            found.append(item.name)
        elif item.is_dir():
            found += [f"{item.name}/{inner.name}" for inner in item.iterdir() if inner.name.endswith(".yaml")]
    return found
