"""Which failures of a trial pass, so that it is worth trying again, and which would strike again.

Settings that do not fit and too little memory strike again, and so does a disk that is full or closed to us.  A storage
that does not answer, a GPU or a network that fails pass: all trials would be lost to one bad minute else.  Of other
errors inside PyTorch nobody knows; those are tried once more.
"""

from __future__ import annotations

import errno
import re
from typing import Literal

import torch
import torch.distributed as dist

from fer_tune.errors import UserError

Verdict = Literal["permanent", "passing", "doubtful"]

_PERMANENT = (UserError, torch.OutOfMemoryError, MemoryError, ValueError, TypeError)

_LASTING = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # no room
    *(errno.EACCES, errno.EPERM, errno.EROFS),  # not allowed
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),  # another place
}
"""What an operating system answers as long as nobody changes something."""

_PASSES = re.compile(
    r"\b(CUDA|NCCL|cuDNN|cuBLAS|CUBLAS|gloo|connection|timed? ?out|network|socket|unreachable|unavailable|"
    r"reset by peer|broken pipe|input/output error|store)\b|CUDNN_STATUS|CUBLAS_STATUS",
    re.IGNORECASE,
)


def verdict(error: BaseException) -> Verdict:
    """Return whether ``error`` would strike again, passes, or may do either.

    >>> verdict(OSError(errno.EIO, "Input/output error")), verdict(OSError(errno.ENOSPC, "No space left on device"))
    ('passing', 'permanent')
    >>> verdict(RuntimeError("CUDA error: an illegal memory access was encountered")), verdict(RuntimeError("mat1"))
    ('passing', 'doubtful')
    """
    if isinstance(error, _PERMANENT):
        return "permanent"
    if isinstance(error, OSError):
        return "permanent" if error.errno in _LASTING else "passing"
    if isinstance(error, dist.DistError | torch.AcceleratorError):
        return "passing"
    if isinstance(error, RuntimeError):
        return "passing" if _PASSES.search(str(error)) else "doubtful"
    return "passing"  # a process that died among them; whoever tries again counts


def gravest(errors: list[Exception]) -> Exception:
    """Return the error that decides of those that several workers met at once: a lasting one, if there is one.

    A worker that fails takes the others with it, whose connections break.
    """
    return min(errors, key=lambda error: ("permanent", "doubtful", "passing").index(verdict(error)))
