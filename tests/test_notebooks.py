"""The notebooks of the documentation run from their first cell to their last, as a newcomer runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "docs" / "notebooks"


def shown(cell: Any, kind: str) -> list[str]:
    """Return what a cell's outputs show in one format."""
    return [output["data"][kind] for output in cell.outputs if output.get("data", {}).get(kind)]


@pytest.mark.slow  # a Ray of its own, a search, refits, a test and a report
def test_the_quick_start_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept: they would be somebody's"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = {cell.source.splitlines()[0]: cell for cell in notebook.cells if cell.cell_type == "code"}
    search = next(cell for source, cell in cells.items() if source.startswith("run = fer_tune.search"))
    table, run = shown(search, "text/html")
    assert "trials 5/5" in table  # drawn over and over in one place, the last state stays
    assert "5 of 5" in run
    assert shown(cells["run.plot_history()"], "image/png")
    assert shown(cells["run.plot_confusion()"], "image/png")
    assert any("Refits" in text for text in shown(cells["run.refit(top=1, seeds=2)"], "text/html"))
    assert "did you mean 'tpe'" in cells["try:"].outputs[0]["text"]
    assert (tmp_path / "runs" / "quickstart" / "report" / "report.html").is_file()
