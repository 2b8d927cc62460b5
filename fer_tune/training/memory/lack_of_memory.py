"""Too little memory, named as that on every device.

PyTorch has an error of its own for a GPU that is full. A CPU that is full, and libraries on a GPU that find no room for
their workspace, raise a plain ``RuntimeError`` with one of the texts below instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SAID = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory")


@contextmanager
def lack_of_memory_named() -> Iterator[None]:
    """Raise ``torch.OutOfMemoryError`` where the block, or the function that this decorates, finds no memory."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (MemoryError, RuntimeError) as error:
        told = str(error)
        if isinstance(error, MemoryError) or any(said in told for said in _SAID):
            raise torch.OutOfMemoryError(told.splitlines()[0] if told else "no memory left") from error
        raise
