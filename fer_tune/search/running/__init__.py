"""A search from its plan to its end: the run folder, Ray Tune's Tuner, and what may end it early.

May import every other room but `sizing`.
"""
