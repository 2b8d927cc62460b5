"""The signals by which somebody ends a program: all of them mean what Ctrl-C means."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def ending_signals() -> list[signal.Signals]:
    """Return Ctrl-C's, that of ``kill`` and ``ray job stop``, and that of a terminal which closes.

    The last is left out where it is ignored: ``nohup`` has it so.
    """
    deaf = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if deaf else [signal.SIGHUP])]


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Have each of them raise KeyboardInterrupt in the block; in a thread that may set no handler, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
