"""Typeset tables by a real LaTeX, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_DOCUMENT = r"""
\documentclass{article}
\usepackage[a4paper,margin=2cm]{geometry}
\usepackage{booktabs}
\begin{document}
\input{tables}
\end{document}
"""


def typeset(tables: str, folder: Path) -> str:
    """Return the log of a document that inputs ``tables``; fail if LaTeX stumbles over anything."""
    if shutil.which("pdflatex") is None or not _has("booktabs.sty"):
        pytest.skip("no LaTeX with booktabs here")
    (folder / "tables.tex").write_text(tables, encoding="utf-8")
    (folder / "paper.tex").write_text(_DOCUMENT, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    return done.stdout


def _has(package: str) -> bool:
    return subprocess.run(["kpsewhich", package], capture_output=True, check=False).returncode == 0
