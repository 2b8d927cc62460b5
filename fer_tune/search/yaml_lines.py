"""YAML that remembers on which line each value stands, reports a key given twice, and reads 1e-4 as a number."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""The keys and indices from the top of a document to a value."""


class _Loader(yaml.SafeLoader):
    """PyYAML follows YAML 1.1, where 1e-4 is a string; this one follows YAML 1.2, where it is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
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
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            document.data = _build(loader, node, (), document, [])
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.fault(mark.line + 1 if mark else 1, f"not valid YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError) as error:  # a character YAML forbids; a date such as 2024-13-01
        document.fault(1, f"not valid YAML: {' '.join(str(error).split())}")
    finally:
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
