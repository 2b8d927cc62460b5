"""Which signals a search hears."""

from __future__ import annotations

import os
import signal

import pytest

from fer_tune.ray_internals import STOP_SIGNAL
from fer_tune.search.running.ending import interruptible


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_is_heard_unless_nohup_has_it_ignored(ignored: bool) -> None:
    stops: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with interruptible(None) as seen:
            signal.signal(STOP_SIGNAL, lambda number, frame: stops.append(number))  # as Tune listens
            os.kill(os.getpid(), signal.SIGHUP)
        assert seen == ([] if ignored else [signal.SIGHUP])
        assert stops == ([] if ignored else [STOP_SIGNAL])
        assert signal.getsignal(signal.SIGHUP) == (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(STOP_SIGNAL, signal.SIG_DFL)
