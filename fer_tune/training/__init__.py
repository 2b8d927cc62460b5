"""Training in plain PyTorch: `loop` over the rooms `learning`, `steps`, `memory` and `computing`, and its checkpoints.

`ray_worker` alone knows Ray.
"""
