"""All by which somebody ends a program is heard as Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from fer_tune.ending_signals import as_ctrl_c, ending_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_is_a_keyboard_interrupt_in_the_block(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), as_ctrl_c():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_nohup_keeps_a_terminal_that_closes_from_being_heard() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ending_signals() == [signal.SIGINT, signal.SIGTERM]
        with as_ctrl_c():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_goes_on_without() -> None:
    seen: list[str] = []

    def run() -> None:
        with as_ctrl_c():
            seen.append("ran")

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == ["ran"]
