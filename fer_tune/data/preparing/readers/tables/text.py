"""Text that is no table line by line, as some programs save one."""

from __future__ import annotations


def why_no_lines(first: bytes) -> str:
    r"""Return why a text whose first line begins so cannot be read line by line, with the cure; empty where it can.

    >>> why_no_lines("emotion,pixels".encode("utf-16"))
    'it is in UTF-16; save it as UTF-8'
    >>> why_no_lines(b"emotion,pixels\r\n"), why_no_lines(b"emotion,pixels")
    ('', '')
    """
    if first.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in first:
        return "it is in UTF-16; save it as UTF-8"
    if b"\r" in first.rstrip(b"\r\n"):
        return "its lines end with carriage returns alone; save it with the line ends of Windows or Unix"
    return ""
