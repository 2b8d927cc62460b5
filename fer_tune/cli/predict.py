"""`fer-tune predict`: what the models of a run see in images."""

from __future__ import annotations

from pathlib import Path

import typer

from fer_tune.cli.refit import RUN


def command(
    run: Path = RUN,
    source: Path = typer.Argument(
        ..., help="An image, a folder of images, a table of images, or a prepared dataset.", metavar="SOURCE"
    ),
    top_k: int = typer.Option(3, "--top-k", min=1, help="Classes to name for each image."),
    out: Path | None = typer.Option(
        None, "--out", help="Write every probability to this .csv, .parquet or .md.", metavar="FILE"
    ),
    config: str | None = typer.Option(None, "--config", help="A refitted configuration. (default: the winner)"),
    seed: int | None = typer.Option(None, "--seed", help="One of its seeds. (default: the mean of all)"),
    views: str = typer.Option("none", "--views", help="Average over views of each image: none, flip or ten_crop."),
    split: str = typer.Option("val", "--split", help="Of a prepared dataset: train or val."),
    device: str | None = typer.Option(None, "--device", help="cpu or cuda. (default: a GPU if there is one)"),
) -> None:
    """Predict the emotion in each image of SOURCE, with the refitted winner of RUN (the mean of its seeds).

    Images are resized as the dataset was; faces are not looked for, so crop them as the dataset's are.
    """
    import pandas as pd
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from analysis import load_run
    from analysis.saving import save_table
    from analysis.statistics.intervals import wilson
    from analysis.use.predicting import network, prediction_table, read_source
    from fer_tune.data.prepared.card import read_card
    from fer_tune.errors import UserError

    if out is not None and out.suffix not in (".csv", ".parquet", ".md"):
        raise UserError(f"--out {out}: its name must end in .csv, .parquet or .md")
    if views not in ("none", "flip", "ten_crop"):
        raise UserError(f"--views {views}: none, flip or ten_crop")
    models = network(load_run(run), config, seed)
    if device is None:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    classes = models.card.classes
    known = (source / "dataset.json").is_file()
    frames = []
    for images, probabilities in models.predict(read_source(source, models.card, split), device, views):
        labels = [classes[label] for label in images.labels] if known else None
        frames.append(prediction_table(images, probabilities, classes, min(top_k, len(classes)), labels=labels))
    frame = pd.concat(frames, ignore_index=True)
    console = Console(soft_wrap=True, highlight=False)
    if out is not None:
        save_table(frame, out)
    shown = frame.head(_SHOWN)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("image", no_wrap=True)
    if known:
        table.add_column("label")
    table.add_column("prediction")
    for row in shown.to_dict("records"):
        places = range(1, 1 + min(top_k, len(classes)))
        told = ", ".join(f"{row[f'top_{n}']} {100 * row[f'probability_{n}']:.1f} %" for n in places)
        table.add_row(Path(row["source"]).name, *([row["label"]] if known else []), told)
    console.print(table)
    if len(frame) > len(shown):
        rest = f"{len(frame) - len(shown):,} more images"
        console.print(f"{rest} in {out}" if out else f"{rest}; write all with --out FILE.csv", markup=False)
    elif out is not None:
        console.print(f"written: {out}", markup=False)
    if known:
        found = wilson(int((frame["label"] == frame["top_1"]).sum()), len(frame))
        interval = f"95 % interval {100 * found.low:.1f} to {100 * found.high:.1f}"
        part = ""
        if read_card(source).content_hash == models.card.content_hash:
            part = "; these images played a part in training or choosing"
        console.print(f"right: {100 * found.estimate:.1f} % of {len(frame):,} images ({interval}{part})")
    told = f"{models.config_id}, mean of {len(models.seeds)} seeds" if len(models.seeds) > 1 else models.config_id
    console.print(f"({told}, trained on {models.trained_on})", markup=False)


_SHOWN = 50
