"""What a trial will take, by a short one: time, memory, its share of a GPU, and what its network costs to use.

It imports every other room of training; of training `ray_worker` alone imports it.
"""
