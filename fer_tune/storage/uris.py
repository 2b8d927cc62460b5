"""URIs of run folders: ``s3://bucket/runs/name``, also with a query such as ``?region=eu-west-1``."""

from __future__ import annotations

from pathlib import Path

from fer_tune.data.prepared.remote import as_uri, without_file_scheme
from fer_tune.errors import UserError


def run_uri(text: str | Path) -> str:
    """Return the URI that ``text`` is, or an empty string where it is a path on this machine.

    Raises:
        UserError: a password stands in it, which would end in files and on screens.
    """
    uri = as_uri(str(text))
    authority = uri.partition("://")[2].partition("/")[0]
    user, at, _ = authority.rpartition("@")
    if at and ":" in user:
        scheme, host = uri.partition(":")[0], authority.rpartition("@")[2]
        raise UserError(
            f"{scheme}://...@{host}: leave user and password out of the URI, which is kept in files; "
            "name them in the environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return uri


def local_path(text: str | Path) -> Path:
    """Return the path on this machine that ``text``, a path or ``file://path``, names."""
    return Path(without_file_scheme(str(text)))


def below(uri: str, *names: str) -> str:
    """Return the URI of what lies below ``uri``; its query stays at the end.

    >>> below("s3://bucket/runs?region=eu-west-1", "first", "test")
    's3://bucket/runs/first/test?region=eu-west-1'
    """
    base, mark, query = uri.partition("?")
    return "/".join([base.rstrip("/"), *names]) + mark + query


def last_name(uri: str) -> str:
    """Return the last name in ``uri``: that of the run."""
    return uri.partition("?")[0].rstrip("/").rpartition("/")[2]
