"""What the program prints to: any console, one that is closed meanwhile too."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_GONE = (errno.EPIPE, errno.EIO)  # nobody reads the pipe any more; the terminal was closed
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of the file that takes what is printed

_SIGNS = {"…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "±": "+-", "≤": "<=", "≥": ">=", "’": "'"}  # of our own


@contextmanager
def lasting_streams() -> Iterator[None]:
    r"""Have standard output and error take whatever is written in the block.

    A character that the console's encoding lacks, as in a Japanese class name on a Western console, is written as its
    code (``\u559c``), which says what it is.  Once the other side is gone, or the disk that it is written to is full,
    the rest goes nowhere: a search is worth more than what it prints.  Of a full disk, standard error tells.  One that
    is closed from the beginning (``>&-``) goes nowhere too.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _have_open(number, name)
    codecs.register_error("fer_tune", _written_otherwise)
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    lasting = {name: _Lasting(stream) for name, stream in before.items() if isinstance(stream, io.TextIOWrapper)}
    vars(sys).update(lasting)
    try:
        yield
    finally:
        vars(sys).update({name: before[name] for name in lasting})
        for stream in lasting.values():
            stream.flush()
            stream.detach()  # else it would close the file when it goes


def _have_open(number: int, name: str) -> None:
    """Have a closed standard stream lead nowhere: else the next file that is opened gets its number, and what a program
    that is started prints is written into that file.  Python has None for it, which libraries do not expect.
    """
    try:
        os.fstat(number)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
        os.set_inheritable(number, True)
    if getattr(sys, name) is None:
        stream = os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


class _Lasting(io.TextIOWrapper):
    def __init__(self, stream: io.TextIOWrapper) -> None:
        with suppress(OSError):
            stream.flush()
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors="fer_tune",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._let_go(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._let_go(error)

    def close(self) -> None:
        """Write what is left; the file itself is the first stream's, and outlives this one."""
        self.flush()

    def _let_go(self, error: OSError) -> None:
        if error.errno not in (*_GONE, *_FULL):
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())  # also for what libraries write, and for what is still to be flushed
        os.close(nowhere)
        if error.errno in _FULL and sys.stderr is not self:
            print(f"fer-tune: the output is cut off here, it cannot be written: {error.strerror}", file=sys.stderr)


def _written_otherwise(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(map(_bytes_of, error.object[error.start : error.end])), error.end


def _bytes_of(sign: str) -> bytes:
    if "\udc80" <= sign <= "\udcff":  # a byte of a file's name that is in no encoding (PEP 383): as it is
        return bytes([ord(sign) - 0xDC00])
    return _SIGNS.get(sign, sign).encode("ascii", "backslashreplace")
