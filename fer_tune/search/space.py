"""The search space of a backbone: read from YAML, drawn by Optuna, with the published configurations tried first."""

from __future__ import annotations

from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import optuna
from pydantic import BaseModel, ConfigDict

from fer_tune.config import TrialConfig
from fer_tune.errors import UserError
from fer_tune.run_folder import Candidate, Published
from fer_tune.search.extends import SHIPPED, read_extended
from fer_tune.search.known_good import KnownGood, fitting
from fer_tune.search.parameter import Parameter
from fer_tune.search.space_faults import SET_BY_THE_SEARCH
from fer_tune.search.space_schema import Checker
from fer_tune.search.yaml_lines import Document

SAMPLED = "sampled"
_ORIGIN = "origin"
_SETTINGS = "settings"


class SearchSpace(BaseModel):
    """What is searched for one backbone.

    Attributes:
        backbone: timm name of the network.
        about: one or two sentences for people.
        parameters: searched field -> how it is drawn.
        fixed: field -> the value that every drawn trial has.
        published: configurations that papers picked by hand.
        known_good: configurations that earlier searches found good, see :mod:`fer_tune.search.known_good`.
    """

    model_config = ConfigDict(extra="forbid")

    backbone: str
    about: str = ""
    parameters: dict[str, Parameter]
    fixed: dict[str, Any] = {}
    published: list[Published] = []
    known_good: list[KnownGood] = []

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """Return the settings of one trial: all of :class:`TrialConfig` but ``backbone``, ``epochs`` and ``seed``.

        A field whose condition is not met is absent, and so keeps its default. A trial made by :meth:`enqueue` gets
        the published settings exactly; where these lie outside the space, nothing is drawn from ``trial``.
        """
        settings = trial.user_attrs.get(_SETTINGS)
        if settings is not None and not self.holds(settings):
            return dict(settings)
        drawn = self._drawn(trial)
        return drawn if settings is None else dict(settings)

    def enqueue(self, study: optuna.Study, published: Candidate) -> bool:
        """Make ``published`` the next trial of ``study``; do nothing and return False if the study has it already.

        Optuna draws every value of an enqueued trial from the space: it keeps a number that lies outside with a
        warning, refuses a choice that is not listed, and fails on 0 in a logarithmic range (measured with 5.0).
        A configuration outside the space is therefore enqueued without parameters: it runs as published, and the
        sampler does not learn from a point that it could not have drawn. It is all or nothing: a trial that lacks a
        single parameter has the samplers that look at all settings together leave that parameter to chance.
        """
        if any(trial.user_attrs.get(_ORIGIN) == published.name for trial in study.get_trials(deepcopy=False)):
            return False
        attributes = {_ORIGIN: published.name, _SETTINGS: self.settings(published.config)}
        study.enqueue_trial(self.enqueue_values(published.config), user_attrs=attributes)
        return True

    def enqueue_again(self, study: optuna.Study, lost: optuna.trial.FrozenTrial) -> bool:
        """Make the published configuration of a trial that was lost the next one; return False if it had none."""
        attributes = {key: lost.user_attrs[key] for key in (_ORIGIN, _SETTINGS) if key in lost.user_attrs}
        if _SETTINGS not in attributes:
            return False
        study.enqueue_trial(self.enqueue_values(attributes[_SETTINGS]), user_attrs=attributes)
        return True

    def enqueue_values(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the searched part of ``config`` as Optuna is told it; empty where it lies outside the space."""
        settings = self.settings(config)
        if not self.holds(settings):
            return {}
        return {name: settings[name] for name in self._order if name in settings}

    def settings(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a published ``config`` as a trial runs it: fixed values fill its gaps, its epochs go."""
        return {name: value for name, value in {**self.fixed, **config}.items() if name not in SET_BY_THE_SEARCH}

    def holds(self, settings: dict[str, Any]) -> bool:
        """Return whether the space can draw just these settings."""
        return not self.outside(settings)

    def outside(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the part of ``settings`` that the space cannot draw: field -> value, None for a missing one."""
        found: dict[str, Any] = {}
        active = {name for name in self._order if self.parameters[name].applies(settings)}
        for name in active:
            if name not in settings or not self.parameters[name].contains(settings[name]):
                found[name] = settings.get(name)
        for name, value in settings.items():
            if name not in active and value != self.fixed.get(name, TrialConfig.model_fields[name].default):
                found[name] = value
        return found

    def published_for(self, dataset: str) -> list[Published]:
        """Return the published configurations to try on a dataset: its own, or all where no paper used it.

        Entries that differ only in dataset and reported numbers would train the same trial: only the first stays.
        """
        own = [entry for entry in self.published if entry.dataset == dataset]
        chosen: list[Published] = []
        for entry in own or self.published:
            if all(self.settings(entry.config) != self.settings(other.config) for other in chosen):
                chosen.append(entry)
        return chosen

    def resolved(self) -> dict[str, Any]:
        """Return the space as plain data of the same shape as its file; :meth:`from_resolved` reads it back."""
        data: dict[str, Any] = {"backbone": self.backbone}
        if self.about:
            data["about"] = self.about
        data["search"] = {name: parameter.as_yaml() for name, parameter in self.parameters.items()}
        if self.fixed:
            data["fixed"] = dict(self.fixed)
        if self.published:
            data["published"] = [entry.model_dump(mode="json") for entry in self.published]
        if fit := {entry.name for entry in fitting(self)}:
            data["known_good"] = [entry.model_dump(mode="json") for entry in self.known_good if entry.name in fit]
        return data

    @classmethod
    def from_resolved(cls, data: dict[str, Any], where: str = "search space") -> SearchSpace:
        """Read what :meth:`resolved` returned; the backbone itself is not looked up again.

        Raises:
            UserError: all faults at once.
        """
        return _space(Checker(Document(where, data), against_model=False))

    def _drawn(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        settings = dict(self.fixed)
        for name in self._order:
            parameter = self.parameters[name]
            if parameter.applies(settings):
                settings[name] = parameter.suggest(trial)
        return settings

    @cached_property
    def _order(self) -> list[str]:
        """Names of the parameters, each after those that its condition reads."""
        ordered: list[str] = []
        while len(ordered) < len(self.parameters):
            ready = [name for name, p in self.parameters.items() if name not in ordered and set(p.when) <= set(ordered)]
            if not ready:
                raise ValueError("the conditions of the search space depend on each other in a circle")
            ordered += ready
        return ordered


def origin(trial: optuna.trial.BaseTrial) -> str:
    """Return the name of the published configuration that ``trial`` was enqueued for, or ``sampled``."""
    return str(trial.user_attrs.get(_ORIGIN, SAMPLED))


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
