"""One training step: its arithmetic, its precision, its capture on a GPU, and its time.

It imports `learning`, `memory` and the metrics.
"""
