"""How many of something, in words."""

from __future__ import annotations


def amount(number: float, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural but for one.

    Args:
        number: how many; whole ones with their thousands apart.
        noun: of one.
        plural: of several, where that is not ``noun`` with an s.

    >>> amount(1, "CPU"), amount(0.5, "GPU"), amount(3000, "image"), amount(2, "class", "classes")
    ('1 CPU', '0.5 GPUs', '3,000 images', '2 classes')
    """
    told = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{told} {noun if number == 1 else plural or f'{noun}s'}"
