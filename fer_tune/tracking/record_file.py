"""The file in which W&B records a run: read, and written again with a change in it.

It is a log of LevelDB (https://github.com/google/leveldb/blob/main/doc/log_format.md): blocks of 32 KiB, of frames of
a checksum (4 bytes), a length (2) and a kind (1), with records cut at the ends of blocks.  W&B's own: 7 bytes stand
before the first frame, and the checksum is zlib's CRC-32 of kind and data.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from fer_tune.filing.files import replacing

_MAGIC = b":W&B\xe1\xbe\x00"
_BLOCK = 32768  # bytes
_FRAME = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class DamagedRecordError(ValueError):
    """The file is no record of a run, or not as it was written."""


def records(data: bytes) -> Iterator[bytes]:
    """Give the records of a file's content, oldest first; the last one is left out where it is cut short.

    So a process that is killed leaves the file, and W&B reads it then.

    Raises:
        DamagedRecordError: something in it is not as it was written.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        raise DamagedRecordError("it does not begin as a record of W&B's does")
    at, pieces = len(_MAGIC), b""
    while at < len(data):
        room = _BLOCK - at % _BLOCK
        if room < _FRAME.size:  # too little for a frame: zeros up to the next block
            at += room
            continue
        if at + _FRAME.size > len(data):
            return
        checksum, length, kind = _FRAME.unpack_from(data, at)
        piece = data[at + _FRAME.size : at + _FRAME.size + length]
        if len(piece) < length:
            return
        if zlib.crc32(bytes([kind]) + piece) != checksum:
            raise DamagedRecordError(f"a checksum is wrong, at byte {at}")
        at += _FRAME.size + length
        pieces += piece
        if kind in (_FULL, _LAST):
            yield pieces
            pieces = b""


def content(of: list[bytes]) -> bytes:
    """Return what a file with these records holds."""
    out = bytearray(_MAGIC)
    for record in of:
        at, first = 0, True
        while first or at < len(record):
            room = _BLOCK - len(out) % _BLOCK
            if room < _FRAME.size:
                out += bytes(room)
                continue
            piece = record[at : at + room - _FRAME.size]
            at += len(piece)
            kind = (_FULL if first else _LAST) if at == len(record) else (_FIRST if first else _MIDDLE)
            out += _FRAME.pack(zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            first = False
    return bytes(out)


def change(file: Path, changed: Callable[[bytes], bytes]) -> None:
    """Replace each record of ``file`` by what ``changed`` returns for it, atomically.

    Raises:
        DamagedRecordError: see `records`; the file is as it was then.
        OSError: it cannot be read or written.
    """
    before = list(records(file.read_bytes()))
    after = [changed(record) for record in before]
    if after != before:
        with replacing(file) as temporary:
            temporary.write_bytes(content(after))
