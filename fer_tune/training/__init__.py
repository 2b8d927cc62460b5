"""Training in plain PyTorch: `loop` over the rooms `learning`, `steps`, `memory` and `computing`.

`keeping` has its checkpoints, `probing` short trials beforehand.  `ray_worker` alone knows Ray.
"""
