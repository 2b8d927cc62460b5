"""What a network costs where it is used: its parameters, and the time it takes to classify one image."""

from __future__ import annotations

import statistics
import time

import torch

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.training.evaluation import build_model
from fer_tune.training.steps.precision import set_up_gpu

_WARM_UP, _LAPS = 5, 30
_SECONDS = 2.0  # after which a slow network that has three laps takes no more


def footprint(config: TrialConfig, card: DatasetCard, device: torch.device | str) -> dict[str, float]:
    """Build the network of ``config`` without its weights, count its parameters and time it on one image.

    Returns:
        ``parameters``, and ``latency_ms``: the median milliseconds of one forward pass, from an image that is on the
        device and normalised, to its logits there; in evaluation mode, as `evaluation.evaluate` runs it, with the
        threads that the process has.  What else the machine does at the time slows it.
    """
    device = torch.device(device)
    set_up_gpu(device)
    fresh = config.model_copy(update={"pretrained": False, "weights": None})  # neither figure depends on them
    with torch.random.fork_rng(devices=[]):  # its initial weights must not move the trial's random numbers
        model = build_model(fresh, card).to(device).eval()
    side = config.image_size or card.height
    image = torch.zeros(1, card.channels, side, side, device=device).to(memory_format=torch.channels_last)
    laps: list[float] = []
    began = time.perf_counter()
    with torch.inference_mode():
        while len(laps) < _WARM_UP + _LAPS and (len(laps) < _WARM_UP + 3 or time.perf_counter() - began < _SECONDS):
            lap = time.perf_counter()
            model(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            laps.append(time.perf_counter() - lap)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": parameters, "latency_ms": 1000 * statistics.median(laps[_WARM_UP:])}
