"""What learns and how fast: the loss, the optimiser, the schedules of its rates, and the average of the weights.

It imports no other room.
"""
