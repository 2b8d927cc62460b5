"""What the next trial is: samplers, what they are to improve, and the searcher that asks them for Ray Tune.

May import `spaces` and `cluster`.
"""
