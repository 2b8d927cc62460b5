"""The weights that the trials of a search start from: chosen for all of them, and looked for before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fer_tune.config import trial_config
from fer_tune.errors import UserError
from fer_tune.models import load_weights
from fer_tune.run_folder import Candidate, Published
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.training.evaluation import build_model
from fer_tune.training.starting_weights import lasting, on_this_machine

if TYPE_CHECKING:
    from fer_tune.data.prepared.store import PreparedDataset

_START = ("pretrained", "weights")


def starting_from(spaces: dict[str, SearchSpace], given: list[str]) -> dict[str, SearchSpace]:
    """Return the spaces with their trials starting from the weights that a user names, as a record may keep them.

    The published configurations start as they were published: the given weights are no part of them.

    Args:
        spaces: by backbone.
        given: files, run folders or URIs; for one backbone of several as ``BACKBONE=FILE``.

    Raises:
        UserError: two for one backbone, a space that searches where its trials start, or a URI without weights.
    """
    chosen: dict[str, str] = {}
    for each in given:
        backbone, _, file = each.partition("=")
        of_one = bool(file) and backbone in spaces
        for name in [backbone] if of_one else spaces:
            if name in chosen:
                raise UserError(f"--weights {each}: {name} starts from {chosen[name]} already; choose one")
            chosen[name] = file if of_one else each
    for backbone in chosen:
        if searched := [name for name in _START if name in spaces[backbone].parameters]:
            raise UserError(
                f"--weights: the space of {backbone} searches {' and '.join(searched)} itself; leave --weights out, or "
                "take that out of the space"
            )
    return {name: _lasting(_started(space, chosen.get(name))) for name, space in spaces.items()}


def _started(space: SearchSpace, weights: str | None) -> SearchSpace:
    if weights is None:
        return space
    own = {"pretrained": space.fixed.get("pretrained", False), "weights": space.fixed.get("weights")}
    published = [_as_published(entry, own) for entry in space.published]
    fixed = {**space.fixed, "pretrained": False, "weights": weights}
    return space.model_copy(update={"fixed": fixed, "published": published})


def _as_published(entry: Published, own: dict[str, Any]) -> Published:
    return entry.model_copy(update={"config": {**own, **entry.config}})


def _lasting(space: SearchSpace) -> SearchSpace:
    """Return ``space`` with its weights by absolute path, or by a URI pinned to what it holds now.

    So do those that it may draw, and those of what it tries first.  A trial runs in another folder, perhaps on another
    machine, and a search may be resumed weeks later.
    """
    new: dict[str, Any] = {"fixed": _lasting_in(space.fixed, space.backbone)}
    if drawn := space.parameters.get("weights"):
        values = tuple(value and lasting(value, space.backbone) for value in drawn.values)
        new["parameters"] = {**space.parameters, "weights": drawn.model_copy(update={"values": values})}
    for tried in ("published", "known_good"):
        new[tried] = [
            entry.model_copy(update={"config": _lasting_in(entry.config, space.backbone)})
            for entry in getattr(space, tried)
        ]
    return space.model_copy(update=new)


def _lasting_in(settings: dict[str, Any], backbone: str) -> dict[str, Any]:
    weights = settings.get("weights")
    return {**settings, "weights": lasting(weights, backbone)} if weights else settings


def check_weights(spaces: dict[str, SearchSpace], data: PreparedDataset, published: bool = True) -> list[str]:
    """Load the weights that trials start from, so that missing ones are told once, before the search starts.

    Returns:
        for each space that fixes a file or a run, what of it fits the backbone, in words.

    Raises:
        UserError: weights that the space fixes or may draw cannot be had, or those of a published configuration.
    """
    told = []
    for backbone, space in spaces.items():
        if weights := space.fixed.get("weights"):
            shape: dict[str, Any] = {name: space.fixed[name] for name in ("head", "image_size") if name in space.fixed}
            fresh = build_model(trial_config({"backbone": backbone, "epochs": 1, **shape}), data.card)
            file = on_this_machine(weights, backbone)
            told.append(f"{backbone}: {load_weights(fresh, file, backbone, data.card.classes)}")
        starts = [{name: space.fixed.get(name) for name in _START}]
        for name in _START:
            drawn = space.parameters.get(name)
            starts += [{name: value} for value in (drawn.values if drawn else ())]
        for start in starts[1 if weights else 0 :]:  # the fixed file has been loaded above
            _load(backbone, start, data)
        for entry in space.published_for(data.card.name) if published else ():
            settings = space.settings(entry.config)
            start = {name: settings.get(name) for name in _START}
            if start not in starts:
                try:
                    _load(backbone, start, data)
                except UserError as error:
                    raise UserError(f"{error}; or leave the published {entry.name} out by --no-published") from None
    return told


def check_candidates(
    candidates: dict[str, list[Candidate]], spaces: dict[str, SearchSpace], data: PreparedDataset
) -> None:
    """Load the weights that what is tried first starts from, where they are not those of the space.

    Args:
        candidates: by backbone; see :mod:`fer_tune.search.proposing.warm_start`.
        spaces: by backbone.
        data: what is trained on.

    Raises:
        UserError: they cannot be had, as where an earlier run was on another machine.
    """
    for backbone, entries in candidates.items():
        seen = []
        for entry in entries:
            settings = spaces[backbone].settings(entry.config)
            start = {name: settings.get(name) for name in _START}
            if start == {name: spaces[backbone].fixed.get(name) for name in _START} or start in seen:
                continue
            seen.append(start)
            try:
                _load(backbone, start, data)
            except UserError as error:
                raise UserError(
                    f"{error}; {entry.name} started there: name where that is now by --weights, or leave --warm-start "
                    "out"
                ) from None


def _load(backbone: str, start: dict[str, Any], data: PreparedDataset) -> None:
    given = {name: value for name, value in start.items() if value}
    if given:
        build_model(trial_config({"backbone": backbone, "epochs": 1, **given}), data.card)
