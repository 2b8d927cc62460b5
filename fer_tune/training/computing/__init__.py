"""How a CPU or GPU computes the steps of a run: what is measured, kept and taken.

It imports `steps` and `learning`.
"""
