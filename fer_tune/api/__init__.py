"""The door for Python, which ``import fer_tune`` shows: prepare or draw a dataset, search, go on with a search.

Each function has the options of the command of its name as keywords; the command line is made from these signatures
(:mod:`fer_tune.cli.parts.shell`).  Errors are `UserError`; Ctrl-C, or a notebook's stop button, ends a search cleanly
and is raised as `Interrupted`.  A Ray that is connected is used and left as it is; one that a call starts ends with it.
"""

from fer_tune.api.datasets import prepare, synthesize
from fer_tune.api.searching import resume, search, search_options

__all__ = ["prepare", "resume", "search", "search_options", "synthesize"]
