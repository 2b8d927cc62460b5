"""Write a trained model, or several as one, for use elsewhere, with what is to be done to an image before; checked."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.use.averaged import built
from analysis.use.predicting import Network
from fer_tune.errors import UserError
from fer_tune.filing.files import replacing, write_json
from fer_tune.version import __version__

TOLERANCE = 1e-4  # largest difference of a logit between what is written and the model itself
_CHECKED = 8  # images


def export(models: Network, target: Path, kind: str) -> float:
    """Write ``models`` to the folder ``target``, as ``model.safetensors`` or ``model.onnx``.

    Several are one module that averages their probabilities, and those of mirror images where it is so chosen
    (`analysis.use.averaged`).  Beside it goes ``preprocessing.json``: size, channels, mean and deviation, resampling,
    classes in the order of the outputs, and the settings that build the networks.

    Args:
        models: one, or several that are used together.
        target: a folder; made where it is missing.
        kind: ``safetensors`` or ``onnx``.

    Returns:
        The largest difference of a logit between the file, read back, and the model.

    Raises:
        UserError: no such format, what it needs is not installed, or the models take images of different sizes.
    """
    import torch

    if kind not in ("safetensors", "onnx"):
        raise UserError(f"--format {kind}: safetensors or onnx")
    if kind == "onnx":
        _need_onnx()
    sides = {settings.image_size for settings in models.settings}
    if len(sides) > 1:
        told = ", ".join(sorted(str(side or models.card.height) for side in sides))
        raise UserError(
            f"--use: the models take images of {told} pixels a side, and one file takes one size; "
            "`fer-tune predict --use chosen` uses them together"
        )
    model = built(models)
    [side] = sides
    shape = (models.card.channels, side or models.card.height, side or models.card.width)
    images = torch.randn(_CHECKED, *shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected: NDArray[Any] = model(images).numpy()
    target.mkdir(parents=True, exist_ok=True)
    if kind == "safetensors":
        found = _safetensors(models, model, target / "model.safetensors", images)
    else:
        found = _onnx(model, target / "model.onnx", images, models)
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise RuntimeError(f"{target}: read back, its outputs differ by {difference:.2g} from the model's")
    write_json(preprocessing(models, shape), target / "preprocessing.json")
    return difference


def preprocessing(models: Network, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Return what a program needs to feed the model: (C, H, W) of its input, and how to get there."""
    card = models.card
    # Several give the logarithm of their mean, which no seed's temperature is for.
    temperature = models.temperatures[0] if models.temperatures and len(models.seeds) == 1 else None
    last = "softmax of the logits gives probabilities"
    if temperature is not None:
        last = f"divide the logits by the temperature {temperature:.6g}, then softmax gives probabilities"
    return {
        "format_version": 1,
        "input": {"name": "images", "shape": ["batch", *shape], "type": "float32"},
        "output": {"name": "logits", "shape": ["batch", len(card.classes)], "type": "float32"},
        "classes": card.classes,
        "steps": [
            f"decode to 8 bits, {'grey' if card.channels == 1 else 'RGB'}, transparency on white",
            f"resize to {card.height} x {card.width} (Lanczos, antialiased)",
            "divide by 255",
            *(
                [f"resize to {shape[1]} x {shape[2]} (bilinear, antialiased)"]
                if shape[1:] != (card.height, card.width)
                else []
            ),
            "subtract mean, divide by std, per channel",
            last,
        ],
        "mean": card.pixel_mean,
        "std": card.pixel_std,
        "temperature": temperature,  # fitted on validation by `fer-tune test`; null: none for these models
        "use": models.use,
        "about": models.words,
        "mirrored": models.mirrored,
        "models": [
            {
                "config_id": name,
                "seed": seed,
                "share": share,
                "backbone": settings.backbone,
                "settings": settings.model_dump(mode="json"),
            }
            for name, seed, share, settings in zip(
                models.config_ids, models.seeds, models.weights().tolist(), models.settings, strict=True
            )
        ],
        "trained_on": models.trained_on,
        "dataset": {"name": card.name, "content_hash": card.content_hash},
        "fer_tune": __version__,
    }


def _safetensors(models: Network, model: Any, file: Path, images: Any) -> NDArray[Any]:
    import torch
    from safetensors.torch import save_file

    from fer_tune.models.weights.tensors import read_tensors

    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    about = {
        "backbone": ", ".join(dict.fromkeys(settings.backbone for settings in models.settings)),
        "classes": json.dumps(models.card.classes),
        "mean": json.dumps(models.card.pixel_mean),
        "std": json.dumps(models.card.pixel_std),
    }
    with replacing(file) as temporary:
        save_file(state, temporary, metadata=about)
    again = built(models)
    for tensor in again.state_dict().values():
        tensor.zero_()  # what the file does not hold shows
    again.load_state_dict(read_tensors(file)[0])
    with torch.inference_mode():
        found: NDArray[Any] = again(images).numpy()
    return found


def _need_onnx() -> None:
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"--format onnx: needs {' and '.join(missing)}, not installed here; "
            "install the extra: `pip install 'fer-tune[onnx]'`"
        )


def _onnx(model: Any, file: Path, images: Any, models: Network) -> NDArray[Any]:
    """Export, note the classes inside, and run what was written in ONNX's own reference runtime."""
    import torch

    onnx = importlib.import_module("onnx")  # an extra, without types
    reference = importlib.import_module("onnx.reference")
    plain = model.to(memory_format=torch.contiguous_format)
    batch = torch.export.Dim("batch", min=1)
    program = torch.onnx.export(
        plain,
        (images[:2],),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: batch},),
        dynamo=True,
        verbose=False,  # else the steps of the exporter stand between ours
    )
    assert program is not None
    written = program.model_proto
    card = models.card
    for name, value in (("classes", card.classes), ("mean", card.pixel_mean), ("std", card.pixel_std)):
        entry = written.metadata_props.add()
        entry.key, entry.value = name, json.dumps(value)
    with replacing(file) as temporary:
        onnx.save(written, str(temporary))
    evaluator = reference.ReferenceEvaluator(onnx.load(str(file)))
    [found] = evaluator.run(None, {"images": images.numpy()})
    return np.asarray(found)
