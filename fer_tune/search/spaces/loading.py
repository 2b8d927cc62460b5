"""Reading search spaces: shipped ones by the name of their backbone, a user's from a file, a run's from its record."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from fer_tune.errors import UserError
from fer_tune.search.spaces.checker import Checker
from fer_tune.search.spaces.document import SHIPPED, Document, read_extended
from fer_tune.search.spaces.space import SearchSpace


def shipped_spaces() -> list[str]:
    """Return the backbones that have a search space in the package, sorted."""
    files = resources.files(SHIPPED).iterdir()
    return sorted(item.name.removesuffix(".yaml") for item in files if item.name.endswith(".yaml"))


def shipped_text(backbone: str) -> str:
    """Return the file of a shipped search space.

    Raises:
        UserError: there is none for this backbone; with the nearest names.
    """
    if backbone not in shipped_spaces():
        raise UserError(_no_space(backbone))
    return (resources.files(SHIPPED) / f"{backbone}.yaml").read_text(encoding="utf-8")


def load_space(name_or_path: str | Path, *, against_model: bool = True) -> SearchSpace:
    """Read a search space: a shipped one by the name of its backbone, or any YAML file; with what it extends.

    Args:
        name_or_path: ``cnn_residual``, or ``my_space.yaml``.
        against_model: also check that the backbone exists and has as many stages as the freeze depths ask for
            (imports the model libraries: seconds).

    Raises:
        UserError: no such space or file; or all faults of the file at once, each with file and line.
    """
    return _space(check_space(name_or_path, against_model=against_model))


def check_space(name_or_path: str | Path, *, against_model: bool = True) -> Checker:
    """Read a search space as :func:`load_space` does, but keep its faults for the caller to show.

    Raises:
        UserError: there is nothing to read.
    """
    name = str(name_or_path)
    if name in shipped_spaces():
        return Checker(read_extended(shipped_text(name), f"{name}.yaml"), against_model=against_model)
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise UserError(
            f"{name}: no such file" if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 else _no_space(name)
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name}: cannot be read as text: {error}") from None
    return Checker(read_extended(text, name, path.parent), against_model=against_model)


def from_resolved(data: dict[str, Any], where: str = "search space") -> SearchSpace:
    """Read what :meth:`SearchSpace.resolved` returned; the backbone itself is not looked up again.

    Raises:
        UserError: all faults at once.
    """
    return _space(Checker(Document(where, data), against_model=False))


def _space(checker: Checker) -> SearchSpace:
    if checker.faults.found:
        raise UserError("\n".join(checker.faults.messages()))
    return SearchSpace(
        backbone=checker.backbone,
        about=checker.about,
        parameters=checker.parameters,
        fixed=checker.fixed,
        published=checker.published,
        known_good=checker.known_good,
    )


def _no_space(name: str) -> str:
    from fer_tune.models.factory import check_backbone

    check_backbone(name)  # a misspelt backbone is told as such, with the nearest names
    shipped = ", ".join(shipped_spaces())
    return (
        f"{name}: no search space is shipped for this backbone; those that are: {shipped}. Copy the nearest with "
        f"`fer-tune spaces copy`, set its `backbone: {name}`, and give the file to the search as --space"
    )
