"""Write figures and tables, atomically, the same bytes for the same content."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from fer_tune.filing.files import replacing


def save_figure(figure: Figure, target: Path) -> bytes:
    """Write ``figure`` as png or pdf, by the suffix of ``target``; return what was written."""
    buffer = BytesIO()
    kind = target.suffix[1:]
    stamp: dict[str, Any] = {"Software": None} if kind == "png" else {"CreationDate": None}  # the same file each time
    figure.savefig(buffer, format=kind, metadata=stamp)
    with replacing(target) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def save_table(table: pd.DataFrame, target: Path) -> None:
    """Write ``table`` as csv, parquet or Markdown, by the suffix of ``target``."""
    with replacing(target) as temporary:
        if target.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        elif target.suffix == ".md":
            temporary.write_text(markdown_rows(table), encoding="utf-8")
        else:
            table.to_csv(temporary, index=False)


def markdown_rows(table: pd.DataFrame, *, header: bool = True) -> str:
    """Return ``table`` as lines of a Markdown table, with or without its header."""

    def cell(value: Any) -> str:
        text = "" if value is None or value != value else f"{value:.4g}" if isinstance(value, float) else str(value)
        return text.replace("|", "\\|")

    lines = [list(map(str, table.columns)), ["---"] * len(table.columns)] if header else []
    lines += [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
