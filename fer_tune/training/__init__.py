"""The training loop in plain PyTorch, its metrics and its checkpoints; `ray_worker` alone knows Ray."""
