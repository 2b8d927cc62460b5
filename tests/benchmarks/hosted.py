"""Tune's trials as objects in a few processes instead of a process each, so that very many fit on a small machine.

A process of Tune takes seconds of a core to start, and memory; 256 are too many for two cores.  The driver does not see
where a trial lives: it asks for an actor, waits for futures of its methods and ends it.  Here these methods are carried
out by a host, one Ray actor for many trials.  What the driver and Ray do for a trial (a placement group, a call and a
result for each epoch, a future to wait on) stays as it is.
"""

from __future__ import annotations

import itertools
from typing import Any

import ray
from ray.actor import ActorClass
from ray.tune.execution.class_cache import _ActorClassCache


@ray.remote(num_cpus=0)
class Host:
    """A process with many trials."""

    def __init__(self) -> None:
        self._guests: dict[int, Any] = {}

    def enter(self, guest: int, trainable: type, settings: dict[str, Any]) -> None:
        """Make the trial's object, as Ray would make its actor."""
        self._guests[guest] = trainable(**settings)

    def leave(self, guest: int) -> None:
        """Forget it."""
        self._guests.pop(guest, None)

    def call(self, guest: int, method: str, args: tuple[Any, ...], settings: dict[str, Any]) -> Any:
        """Call one of its methods."""
        return getattr(self._guests[guest], method)(*args, **settings)


class Guest:
    """What Tune holds as the handle of a trial's actor."""

    def __init__(self, host: Any, number: int, entered: Any) -> None:
        self._host, self._number, self._entered = host, number, entered

    def __getattr__(self, method: str) -> _Method:
        if method in ("__ray_ready__", "__ray_terminate__") or not method.startswith("_"):
            return _Method(self._host, self._number, method, self._entered)
        raise AttributeError(method)

    def leave(self) -> Any:
        """Have the host forget it."""
        return self._host.leave.remote(self._number)


class _Method:
    def __init__(self, host: Any, number: int, name: str, entered: Any) -> None:
        self._host, self._number, self._name, self._entered = host, number, name, entered

    def remote(self, *args: Any, **settings: Any) -> Any:
        if self._name == "__ray_terminate__":
            return self._host.leave.remote(self._number)
        if self._name == "__ray_ready__":
            return self._entered  # a host with several threads may begin a call before an earlier one
        return self._host.call.remote(self._number, self._name, args, settings)


class HostedClass(ActorClass):
    """What Tune holds as the class of its trials' actors."""

    def __init__(self, trainable: type, hosts: list[Any]) -> None:
        self._trainable, self._numbers, self._hosts = ray.put(trainable), itertools.count(), hosts

    def options(self, **options: Any) -> HostedClass:
        """Return itself: a host takes no part of the trial's placement group."""
        return self

    def remote(self, **settings: Any) -> Guest:
        """Make a trial in the next host."""
        number = next(self._numbers)
        host = self._hosts[number % len(self._hosts)]
        return Guest(host, number, host.enter.remote(number, self._trainable, settings))


def share_processes(count: int, threads: int = 1) -> None:
    """Have Tune put its trials into ``count`` processes, spread over the nodes, from now on.

    With several ``threads``, as many trials of one process may wait for a store at the same time.
    """
    options = {"scheduling_strategy": "SPREAD", "max_concurrency": threads}
    hosts = [Host.options(**options).remote() for _ in range(count)]
    ray.get([host.__ray_ready__.remote() for host in hosts])
    classes: dict[type, HostedClass] = {}

    def hosted(cache: _ActorClassCache, trainable: type) -> HostedClass:
        if trainable not in classes:
            classes[trainable] = HostedClass(trainable, hosts)
        return classes[trainable]

    kill = ray.kill

    def end(actor: Any, **options: Any) -> None:
        if isinstance(actor, Guest):
            actor.leave()
        else:
            kill(actor, **options)

    _ActorClassCache.get = hosted
    ray.kill = end
