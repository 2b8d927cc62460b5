"""What the two layouts of FER2013 share: codes, and which published part serves as which split.

Source: Goodfellow et al. 2013, "Challenges in Representation Learning" (arXiv 1307.0414). Training has 28,709 images,
PublicTest and PrivateTest 3,589 each; 48x48 pixels, grey.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fer_tune.data.preparing.readers.tables.pixel_rows import PARTS

NAME = "fer2013"
CODES: dict[str, str] = {
    "0": "angry",
    "1": "disgust",
    "2": "fear",
    "3": "happy",
    "4": "sad",
    "5": "surprise",
    "6": "neutral",
}
"""The csv's emotion codes, not in alphabetical order."""
COUNTS: dict[str, int] = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}


def is_whole(counts: Mapping[str, int]) -> bool:
    """Tell whether published part -> images are those of FER2013, for the parts that are there."""
    return counts.get("Training") == COUNTS["Training"] and all(COUNTS.get(part) == n for part, n in counts.items())


def unlike(counts: Mapping[str, int]) -> list[str]:
    """Return a warning where what is named as FER2013 has other counts than it."""
    if is_whole(counts):
        return []
    found = ", ".join(f"{counts[part]:,} of {COUNTS[part]:,} {part}" for part in PARTS if part in counts)
    return [f"this is FER2013 by its names, but not all of it ({found}): published figures are for the whole"]


def official_parts(found: Collection[str]) -> tuple[dict[str, str], str]:
    """Return published part -> split for the parts ``found``, and a sentence about it.

    PrivateTest is the test and PublicTest the validation, as in the challenge; where only one of them is there, it is
    the test, and the validation split has to come from Training. Training alone is one undivided set.
    """
    if set(PARTS) <= set(found):
        return dict(zip(PARTS, ("train", "val", "test"), strict=True)), "official: Training, PublicTest, PrivateTest"
    if not set(found) - {"", "Training"}:
        return dict.fromkeys(found, ""), f"nothing is published{' but Training' if 'Training' in found else ''}"
    split_of = {part: "train" if part == "Training" else "test" for part in found}
    present = [part for part in PARTS if part in found]
    missing = [part for part in PARTS if part not in found]
    tests = ", ".join(part for part in present if part != "Training") or "missing"
    return split_of, f"official parts {', '.join(present)}; there is no {' or '.join(missing)}, so the test is {tests}"
