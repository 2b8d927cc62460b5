"""A search from its options to its end: the plan, the run folder, Ray Tune's Tuner, and what may end it early.

May import every other room but `sizing`.
"""
