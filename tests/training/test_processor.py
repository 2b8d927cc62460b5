"""Two processors of a kind are told as one, whatever their load; two kinds are not."""

import doctest
from pathlib import Path

from fer_tune.training import processor as module
from fer_tune.training.processor import processor, processor_name

CORE = """processor\t: {number}
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
cpu MHz\t\t: {mhz}
flags\t\t: fpu {flags}

"""


def told(folder: Path, name: str, **core: object) -> dict[str, str]:
    file = folder / name
    file.write_text("".join(CORE.format(number=number, **core) for number in range(2)))
    return processor(file)


def test_a_kind_is_its_model_and_its_flags(tmp_path: Path) -> None:
    one = told(tmp_path, "one", mhz=2600, flags="avx512_bf16")
    assert one == told(tmp_path, "two", mhz=3100, flags="avx512_bf16")
    assert one != told(tmp_path, "three", mhz=2600, flags="avx2")
    assert processor_name(one) == "AMD EPYC (family 25, model 17)"


def test_elsewhere_than_on_linux_there_is_a_name_too(tmp_path: Path) -> None:
    assert processor_name(processor(tmp_path / "none"))


def test_the_examples_run() -> None:
    assert doctest.testmod(module) == (0, 3)
