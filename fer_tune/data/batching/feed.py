"""Images that a device has no room for, gathered on the host a little ahead of the batch that is trained on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from fer_tune.data.batching.drawn import Drawn

AHEAD = 2
"""Batches on their way: one is gathered while another is copied.  More would only hold more memory."""


@dataclass(frozen=True)
class _Sent:
    """A batch's tensors on the device, there when ``copied`` has come by; None where copying waits itself."""

    drawn: Drawn
    copied: torch.cuda.Event | None


class Feed:
    """Gathers the images of batches in a thread, and sends them over while the device computes.

    On a GPU they go through pinned memory and a stream of their own, so that neither the host nor the device waits for
    a copy that is done in time.  Pinned memory is PyTorch's, which gives a block out again only after its copy.

    Args:
        images: (N, H, W, C) uint8, of the split, on the host.
        device: where batches are made.
    """

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self._images, self._device = images, device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, drawn: Iterable[Drawn]) -> Iterator[Drawn]:
        """Yield each of ``drawn``, whose places are on the host, with its pixels and all else on the device."""
        coming = iter(drawn)
        sent: deque[Future[_Sent]] = deque()
        with ThreadPoolExecutor(1, "feed") as thread:

            def ask() -> None:
                for one in coming:
                    sent.append(thread.submit(self._send, one))
                    return

            for _ in range(AHEAD):
                ask()
            while sent:
                found = sent.popleft().result()
                ask()
                yield self._taken(found)

    def _send(self, drawn: Drawn) -> _Sent:
        """Gather and send one batch; in the thread."""
        shape = (len(drawn.chosen), *self._images.shape[1:])
        gathered = torch.empty(shape, dtype=torch.uint8, pin_memory=self._stream is not None)
        torch.index_select(self._images, 0, drawn.chosen, out=gathered)
        host = {"pixels": gathered, "chosen": drawn.chosen}
        if drawn.partner is not None:
            host["partner"] = drawn.partner
        if self._stream is None:
            return _Sent(drawn._replace(**{name: one.to(self._device) for name, one in host.items()}), None)
        with torch.cuda.stream(self._stream):
            there = {name: one.pin_memory().to(self._device, non_blocking=True) for name, one in host.items()}
            copied = torch.cuda.Event()
            copied.record(self._stream)
        return _Sent(drawn._replace(**there), copied)

    def _taken(self, sent: _Sent) -> Drawn:
        """Make the stream that computes wait for the copy, and the memory of the copy wait for what it computes."""
        if sent.copied is not None:
            computing = torch.cuda.current_stream(self._device)
            computing.wait_event(sent.copied)
            for one in (sent.drawn.pixels, sent.drawn.chosen, sent.drawn.partner):
                if one is not None:
                    one.record_stream(computing)
        return sent.drawn
