"""The one error that a user can cause, and so the one that the command line prints without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something a user can mend: the message names the file, line or field, the bound broken and the cure.

    The command line prints the message alone and exits with code 2.
    """


class DamagedWeightsError(UserError):
    """Trained weights that cannot be loaded; whoever knows what they are of adds the cure."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return a hint such as ``did you mean 'resnet18' or 'resnet34'?``, or an empty string; case does not count.

    >>> nearest("ADAMW", ["adamw", "sgd"])
    "did you mean 'adamw'?"
    """
    folded = {each.casefold(): each for each in known}
    close = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=count, cutoff=0.6)]
    if not close:
        return ""
    return "did you mean " + " or ".join(repr(c) for c in close) + "?"
