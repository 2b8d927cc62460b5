"""What the two layouts of RAF-DB share: the codes of its basic emotions.

Source: Li, Deng and Du 2017, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition
in the Wild". 12,271 training and 3,068 test images, aligned faces of 100x100 pixels, RGB; no validation part.
"""

from __future__ import annotations

NAME = "raf-db"
CODES: dict[str, str] = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happy",
    "5": "sad",
    "6": "angry",
    "7": "neutral",
}
POLICY = "official: train and test"
