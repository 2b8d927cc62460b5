"""Finding the picture that a table or list names, whatever folder its path starts from."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

from fer_tune.data.preparing.readers.base import UnreadableError
from fer_tune.data.preparing.readers.trees.images import SUFFIXES, images_below

_LONGEST = 1024  # characters of a path: macOS takes no more, and Linux no more than 255 between two slashes


class Pictures:
    """The pictures below a folder, looked up by the end of their path; listed when one is first missing.

    Attributes:
        root: the folder.
        left_out: pictures that have no usable label.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: list[Path] = []
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, named: str, beside: Path) -> Path:
        """Return the picture that a table in the folder ``beside`` calls ``named``.

        Raises:
            UnreadableError: there is none, or several fit equally.
        """
        plain = PurePosixPath(named.replace("\\", "/"))
        if not plain.name:
            raise UnreadableError("no path")
        if len(named) > _LONGEST:
            raise UnreadableError(f"names {named[:40]}..., which is no path")
        for folder in (beside, self.root):
            if (folder / plain).is_file() and plain.suffix.lower() in SUFFIXES:
                return folder / plain
        found = self._named(plain)
        for length in range(len(plain.parts), 0, -1):
            ending = plain.parts[-length:]
            fitting = [file for file in found if (*file.parts[:-1], ending[-1])[-length:] == ending]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                raise UnreadableError(f"names {named}, and {len(fitting)} pictures are called so")
        raise UnreadableError(f"names {named}, but there is no such picture")

    def _named(self, plain: PurePosixPath) -> list[Path]:
        """Return the pictures of this name; the suffix may be missing in the table."""
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for file in images_below(self.root)[0]:
                self._by_name[file.name].append(file)
                self._by_name[file.stem].append(file)
        return self._by_name.get(plain.name, [])
