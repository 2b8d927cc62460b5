"""The memory of a GPU that several trials share."""

from __future__ import annotations

import torch


def hold_to_share(gpus: float, device: torch.device) -> None:
    """Let this process have its share of the memory of ``device`` and no more.

    So a trial that needs too much is the one that runs out of memory, not whichever asks next.

    Args:
        gpus: of this process; 1 and more is all of its GPU.
        device: a CPU is left as it is.
    """
    if device.type == "cuda" and gpus > 0:
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpus), device)
