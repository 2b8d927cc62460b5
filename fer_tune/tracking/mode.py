"""Whether a search is recorded online, offline or not at all, settled before any compute is spent."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, cast, get_args

from fer_tune.errors import UserError, nearest
from fer_tune.tracking.wandb_internals import flaw_of, key_is_kept

Choice = Literal["auto", "online", "offline", "disabled"]
Mode = Literal["online", "offline", "disabled"]

_OF_ENVIRONMENT: dict[str, Choice] = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}  # the values of WANDB_MODE, old names included


def resolve_mode(choice: Choice | str = "auto") -> Mode:
    """Return how runs are recorded.

    ``auto`` follows WANDB_MODE; where that is unset it means online if W&B finds an API key on this machine, else
    offline. A mode that is given outweighs WANDB_MODE. The server is not asked and the key is never shown.

    Raises:
        UserError: ``choice`` or WANDB_MODE is no such mode, online is asked for and no usable key is configured, or
            FER_TUNE_WANDB_FINISH is no number of seconds.
    """
    asked_by = "--wandb"
    finish_seconds()
    if choice not in get_args(Choice):
        raise UserError(f"--wandb {choice}: no such mode; {_hint(choice, get_args(Choice))}")
    if choice == "auto" and (environment := os.environ.get("WANDB_MODE", "").strip().lower()):
        if environment not in _OF_ENVIRONMENT:
            raise UserError(f"WANDB_MODE={environment}: no such mode; {_hint(environment, _OF_ENVIRONMENT)}")
        asked_by, choice = "WANDB_MODE", _OF_ENVIRONMENT[environment]
    if choice in ("offline", "disabled"):
        return cast(Mode, choice)
    problem = key_problem()
    if problem is None:
        return "online"
    if choice == "online":
        raise UserError(
            f"{asked_by} online: {problem}; run `wandb login`, set WANDB_API_KEY, or use --wandb offline and sync later"
        )
    if problem != _NO_KEY:
        logging.getLogger(__name__).warning("W&B: %s; recording offline", problem)
    return "offline"


def images_allowed() -> bool:
    """Return whether photographs of the dataset, and the names of their files, may go into W&B's records.

    Only where FER_TUNE_WANDB_IMAGES says yes.  Faces are personal data and most datasets of them may not be passed
    on, so silence means no; offline too, as `fer-tune sync` uploads whatever was recorded.

    Raises:
        UserError: FER_TUNE_WANDB_IMAGES is neither yes nor no.
    """
    given = os.environ.get("FER_TUNE_WANDB_IMAGES", "").strip().lower()
    if given in ("yes", "true", "1"):
        return True
    if given in ("", "no", "false", "0"):
        return False
    raise UserError(f"FER_TUNE_WANDB_IMAGES={given}: yes or no (the default)")


def finish_seconds() -> float:
    """Return how long the end of a search, a refit or a test waits for W&B: FER_TUNE_WANDB_FINISH, 60 s by default.

    Raises:
        UserError: FER_TUNE_WANDB_FINISH is no number of seconds.
    """
    given = os.environ.get("FER_TUNE_WANDB_FINISH", "").strip() or "60"
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < math.inf:
        raise UserError(f"FER_TUNE_WANDB_FINISH={given}: a number of seconds above 0, such as 60")
    return seconds


_NO_KEY = "no W&B API key is configured"


def quieten() -> None:
    """Keep W&B from printing; it reads the variable when it is first imported, and logs to a file of its own."""
    os.environ.setdefault("WANDB_SILENT", "true")
    logger = logging.getLogger("wandb")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def key_problem() -> str | None:
    """Return why W&B could not log in, without the key itself; None where a well-formed key is configured.

    Looks where W&B looks: WANDB_API_KEY, an identity token file, the netrc entry of the server, W&B's settings file.
    """
    quieten()
    from wandb.errors import AuthenticationError

    try:
        if key := os.environ.get("WANDB_API_KEY"):
            problem = flaw_of(key)
            return None if problem is None else f"WANDB_API_KEY is not valid: {problem.rstrip('.')}"
        if token := os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
            return None if Path(token).is_file() else f"WANDB_IDENTITY_TOKEN_FILE names no file: {token}"
        if key_is_kept():
            return None
    except AuthenticationError as error:
        return f"the W&B login of this machine is not valid: {str(error).rstrip('.')}"
    except Exception as error:  # a bad WANDB_* variable or settings file; W&B raises several kinds for these
        return f"W&B's settings are not valid: {type(error).__name__}: {error}"
    return _NO_KEY


def _hint(name: str, known: Iterable[str]) -> str:
    return nearest(name, known) or f"the modes are {', '.join(known)}"
