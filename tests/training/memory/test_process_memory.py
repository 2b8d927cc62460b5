from __future__ import annotations

import math
from pathlib import Path

import pytest

from fer_tune.training.memory import process_memory as module
from fer_tune.training.memory.process_memory import process_memory


def test_the_peak_is_no_less_than_what_is_private():
    if not Path("/proc/self/status").is_file():
        pytest.skip("Linux tells it")
    assert 1 < process_memory("RssAnon") < process_memory("VmHWM") < 2**20


def test_a_system_that_does_not_tell_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Path", lambda name: tmp_path / "not there")
    assert math.isnan(process_memory("VmHWM"))
