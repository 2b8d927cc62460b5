"""The search space of a backbone: what Optuna draws, and the configurations that are tried before anything is drawn.

Those are the published ones and, where the search learns, settings that earlier searches found good.  A search that
begins at random spends its first dozen trials far from anything useful; where a network of the same kind was searched
before, on whatever faces, its best settings are a better beginning (Feurer et al. 2015, "Initializing Bayesian
hyperparameter optimization via meta-learning").  A space names them::

    known_good:
      - name: fer_tune/fer2013-1
        source: cnn_residual on FER2013, the best of 16 trials of 9 epochs
        config: {learning_rate: 8.6e-3, batch_size: 64, augmentation: 0.23}

How a space is written in YAML is in :mod:`fer_tune.search.spaces.document`, what a file may say in `checker`, and
`loading` reads one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import optuna
from pydantic import BaseModel, ConfigDict

from fer_tune.config import TrialConfig
from fer_tune.run_folder import DRAWN, RANDOM, SEARCHED, Candidate, Published
from fer_tune.search.spaces.faults import SET_BY_THE_SEARCH
from fer_tune.search.spaces.parameter import Parameter

AGAIN = "again"
"""User attribute of a trial that runs settings again: the id of the trial that failed with them."""

_ORIGIN = "origin"
_SETTINGS = "settings"


class KnownGood(Candidate):
    """A configuration that an earlier search found good.

    Attributes:
        source: of which network, on what, in which search.
    """

    source: str = ""


class SearchSpace(BaseModel):
    """What is searched for one backbone.

    Attributes:
        backbone: timm name of the network.
        about: one or two sentences for people.
        parameters: searched field -> how it is drawn.
        fixed: field -> the value that every drawn trial has.
        published: configurations that papers picked by hand.
        known_good: configurations that earlier searches found good; :meth:`fitting` are those it could have drawn.
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

    def enqueue_again(self, study: optuna.Study, ended: optuna.trial.FrozenTrial, because_of: str = "") -> bool:
        """Make the settings of a trial the next ones; return False where they were drawn and need not be kept.

        Args:
            study: of this space.
            ended: a trial that was lost, or that failed.
            because_of: Tune's id of the trial that failed with them, if it did; then drawn settings are kept too.
        """
        attributes = {key: ended.user_attrs[key] for key in (_ORIGIN, _SETTINGS, AGAIN) if key in ended.user_attrs}
        if because_of:
            attributes[AGAIN] = because_of
        if not attributes.keys() & {_SETTINGS, AGAIN}:
            return False
        values = self.enqueue_values(attributes[_SETTINGS]) if _SETTINGS in attributes else ended.params
        study.enqueue_trial(values, user_attrs=attributes)
        return True

    def enqueue_values(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the searched part of ``config`` as Optuna is told it; empty where it lies outside the space."""
        settings = self.settings(config)
        if not self.holds(settings):
            return {}
        return {name: settings[name] for name in self.order if name in settings}

    def settings(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a published ``config`` as a trial runs it: fixed values fill its gaps, its epochs go."""
        return {name: value for name, value in {**self.fixed, **config}.items() if name not in SET_BY_THE_SEARCH}

    def holds(self, settings: dict[str, Any]) -> bool:
        """Return whether the space can draw just these settings."""
        return not self.outside(settings)

    def outside(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the part of ``settings`` that the space cannot draw: field -> value, None for a missing one."""
        found: dict[str, Any] = {}
        active = [name for name in self.order if self.parameters[name].applies(settings)]
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

    def fitting(self) -> list[Candidate]:
        """Return the known good configurations that the space could have drawn, with what it fixes.

        Only what the space searches is taken from an entry; what it fixes stays fixed.  An entry that another file
        brings by ``extends`` is left out where one of its values lies outside the range searched here, one is missing,
        or a choice such as the optimiser is fixed to another: a learning rate that is good for one is not for the
        other.
        """
        found = []
        for entry in self.known_good:
            config = {name: value for name, value in entry.config.items() if name in self.parameters}
            config = {name: value for name, value in config.items() if self.parameters[name].applies(config)}
            others = entry.config.keys() - self.parameters.keys()
            fixed = {name: self.fixed.get(name, TrialConfig.model_fields[name].default) for name in others}
            if any(isinstance(entry.config[name], str) and entry.config[name] != fixed[name] for name in others):
                continue
            if self.holds(self.settings(config)):
                found.append(Candidate(name=entry.name, config=config))
        return found

    def resolved(self) -> dict[str, Any]:
        """Return the space as plain data of the same shape as its file; `loading.from_resolved` reads it back."""
        data: dict[str, Any] = {"backbone": self.backbone}
        if self.about:
            data["about"] = self.about
        data["search"] = {name: parameter.as_yaml() for name, parameter in self.parameters.items()}
        if self.fixed:
            data["fixed"] = dict(self.fixed)
        if self.published:
            data["published"] = [entry.model_dump(mode="json") for entry in self.published]
        if fit := {entry.name for entry in self.fitting()}:
            data["known_good"] = [entry.model_dump(mode="json") for entry in self.known_good if entry.name in fit]
        return data

    def _drawn(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        settings = dict(self.fixed)
        for name in self.order:
            parameter = self.parameters[name]
            if parameter.applies(settings):
                settings[name] = parameter.suggest(trial)
        return settings

    @cached_property
    def order(self) -> list[str]:
        """Names of the parameters, each after those that its condition reads."""
        ordered: list[str] = []
        while len(ordered) < len(self.parameters):
            ready = [name for name, p in self.parameters.items() if name not in ordered and set(p.when) <= set(ordered)]
            if not ready:
                raise ValueError("the conditions of the search space depend on each other in a circle")
            ordered += ready
        return ordered


def drawn_at_random(trial: optuna.Trial) -> bool:
    """Put on record that a new trial was drawn at random, and return True; False where it was told what to try."""
    if trial.user_attrs.keys() & {_ORIGIN, _SETTINGS, AGAIN}:
        return False
    trial.set_user_attr(_ORIGIN, RANDOM)
    return True


def was_drawn(trial: optuna.trial.FrozenTrial) -> bool:
    """Return whether a trial's settings were drawn, not told or tried again."""
    return origin(trial) in DRAWN and not trial.user_attrs.keys() & {_SETTINGS, AGAIN}


def origin(trial: optuna.trial.BaseTrial) -> str:
    """Return the name of the published configuration that ``trial`` was enqueued for, `SEARCHED` or `RANDOM`."""
    return str(trial.user_attrs.get(_ORIGIN, SEARCHED))
