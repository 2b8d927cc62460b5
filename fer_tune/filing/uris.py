"""Addresses as text: a path on this machine, or a URI such as ``s3://bucket/runs/name?region=eu-west-1``.

Prepared datasets, starting weights and run folders are all named so. Nothing here asks the network.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_tune.errors import UserError

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)")  # pathlib makes s3:/bucket of s3://bucket
_NOTHING = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/*")
_PINNED = re.compile(r"(.+)#([0-9a-f]{64})")


def as_uri(address: str | Path) -> str:
    """Return the URI that ``address`` is, or an empty string where it is a path on this machine.

    >>> as_uri("s3:/bucket/fer2013"), as_uri("data/fer2013"), as_uri("file:///data/fer2013")
    ('s3://bucket/fer2013', '', '')

    Raises:
        UserError: a password stands in it, which would end in files and on screens; or nothing but a scheme.
    """
    text = str(address)
    if (store := _NOTHING.fullmatch(text)) and store[1].lower() != "file":
        raise UserError(f"{text}: names a store and nothing in it; write {store[1]}://BUCKET/FOLDER")
    match = _URI.fullmatch(text)
    if match is None or match[1].lower() == "file":
        return ""
    uri = (text if "://" in text else f"{match[1]}://{match[2]}").rstrip("/")
    scheme, _, rest = uri.partition("://")
    user, _, host = rest.partition("/")[0].rpartition("@")
    if ":" in user:
        raise UserError(
            f"{scheme}://...@{host}: leave user and password out of the URI, which is kept in files; name them in the "
            "environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return uri


def local_path(address: str | Path) -> Path:
    """Return the path on this machine that ``address``, a path or ``file:///path``, names.

    >>> local_path("file:///data/fer2013")
    PosixPath('/data/fer2013')
    """
    match = _URI.fullmatch(str(address))
    return Path(address if match is None else f"/{match[2]}")


def below(uri: str, *names: str) -> str:
    """Return the URI of what lies below ``uri``; its query stays at the end.

    >>> below("s3://bucket/runs?region=eu-west-1", "first", "test")
    's3://bucket/runs/first/test?region=eu-west-1'
    """
    base, mark, query = uri.partition("?")
    return "/".join([base.rstrip("/"), *filter(None, names)]) + mark + query


def last_name(uri: str) -> str:
    """Return the last name in ``uri``: that of a run or a file."""
    return uri.partition("?")[0].rstrip("/").rpartition("/")[2]


def pinned(uri: str, content_hash: str) -> str:
    """Return the URI that stands for the content of that hash alone."""
    return f"{parted(uri)[0]}#{content_hash}"


def parted(uri: str) -> tuple[str, str]:
    """Return the URI and the content hash it is pinned to, or an empty string."""
    match = _PINNED.fullmatch(uri)
    return (match[1], match[2]) if match else (uri, "")
