"""Weights that a network starts from: read from any file, matched by name or by order and shape, told what fits."""
