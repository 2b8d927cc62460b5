"""The search, in rooms; each may import those below it (a test keeps the order)::

sizing                        what a search would take
running                       plan, engine, Tuner, end
watching                      the tables written, the table shown
proposing | stopping_early    what is tried next | what is ended before its last epoch
cluster | spaces              Ray and its nodes | search-space files
options                       what a user asks
"""

from __future__ import annotations

import sys

from fer_tune.door import CallablePackage


class _Search(CallablePackage):
    """`fer_tune.search(...)`, see :func:`fer_tune.api.search`."""

    door_module = "fer_tune.api"


sys.modules[__name__].__class__ = _Search
