"""`fer-tune resume`: go on with a search that was interrupted."""

from __future__ import annotations

from typing import Any

from fer_tune import api
from fer_tune.cli.parts.shell import command as made_from
from fer_tune.cli.search import Json, Quiet, concluded, shown_as


@made_from(api.resume, without=("output",))
def command(given: dict[str, Any], quiet: Quiet = False, as_json: Json = False) -> None:
    how = shown_as(quiet=quiet, as_json=as_json)
    concluded(lambda: api.resume(**given, output=how), how)
