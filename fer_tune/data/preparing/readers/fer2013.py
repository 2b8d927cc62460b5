"""What the two layouts of FER2013 share: codes, and which published part serves as which split.

Source: Goodfellow et al. 2013, "Challenges in Representation Learning" (arXiv 1307.0414). Training has 28,709 images,
PublicTest and PrivateTest 3,589 each; 48x48 pixels, grey.
"""

from __future__ import annotations

from collections.abc import Collection

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
PARTS: tuple[str, ...] = ("Training", "PublicTest", "PrivateTest")
SIDE = 48


def official_parts(found: Collection[str]) -> tuple[dict[str, str], str]:
    """Return published part -> split for the parts ``found``, and a sentence about it.

    PrivateTest is the test and PublicTest the validation, as in the challenge; where only one of them is there, it is
    the test, and the validation split has to come from Training.
    """
    if set(PARTS) <= set(found):
        return dict(zip(PARTS, ("train", "val", "test"), strict=True)), "official: Training, PublicTest, PrivateTest"
    split_of = {part: "train" if part == "Training" else "test" for part in found}
    present = [part for part in PARTS if part in found]
    missing = [part for part in PARTS if part not in found]
    tests = ", ".join(part for part in present if part != "Training") or "missing"
    return split_of, f"official parts {', '.join(present)}; there is no {' or '.join(missing)}, so the test is {tests}"
