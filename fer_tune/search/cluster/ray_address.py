"""Which Ray is meant by ``RAY_ADDRESS``, and whether one answers there."""

from __future__ import annotations

import os
import re
import socket
import time

from fer_tune.errors import UserError
from fer_tune.ray_internals import ray_here

ALONE = "`unset RAY_ADDRESS` to use this machine by itself"
"""The cure where a Ray is named that was not meant, or is not there."""

_PATIENCE = 30.0  # seconds; a head that is just started answers within ten on a slow machine
_PAUSE = 1.0  # seconds between two attempts


def named_cluster() -> str:
    """Return the address of the cluster to join; empty where ``RAY_ADDRESS`` is not set or says this machine."""
    address = os.environ.get("RAY_ADDRESS", "").strip()
    return "" if address == "local" else address


def check_answers(address: str, patience: float = _PATIENCE) -> None:
    """See that something answers where ``RAY_ADDRESS`` says; Ray itself waits for minutes.

    Args:
        address: ``HOST:PORT`` of a cluster's head; ``auto``: the one that Ray finds on this machine.
        patience: seconds for it to come up.

    Raises:
        UserError: nothing does, or it is the address of something else than a head.
    """
    said = f"RAY_ADDRESS={address}"
    if address == "auto":
        address = ray_here()
        if not address:
            raise UserError(
                f"{said}: it says to join the Ray of this machine, and none runs here; {ALONE}, or start one with "
                "`ray start --head`"
            )
        said += f", which is {address} here"
    if address.startswith(("http://", "https://")):
        raise UserError(
            f"{said}: that is where jobs are handed in, and no cluster to join. Hand this command in by "
            f"`ray job submit --address {address} -- fer-tune ...`, or {ALONE}"
        )
    if address.startswith("ray://"):
        raise UserError(
            f"{said}: a search does not run through Ray Client, whose connection would have to last. "
            "Hand the command in by `ray job submit`, or name the head on one of the cluster's nodes, such as "
            f"RAY_ADDRESS=head:6379, or {ALONE}"
        )
    found = re.fullmatch(r"\[?([^\[\]]+)\]?:(\d{1,5})", address)
    if found is None:
        return  # Ray says what is wrong with it
    until = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((found[1], int(found[2])), timeout=max(0.1, patience)).close()
            return
        except (OSError, OverflowError) as error:  # a port above 65535 is the latter
            if time.monotonic() + _PAUSE > until:
                raise UserError(
                    f"{said}: no Ray answers there ({error}); start the cluster, name where it is now, or {ALONE}"
                ) from None
        time.sleep(_PAUSE)
