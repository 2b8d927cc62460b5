"""Metrics, their intervals, and comparisons: from labels and probabilities to what is known."""
