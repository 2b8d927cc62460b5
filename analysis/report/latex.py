r"""The tables of a report for LaTeX: booktabs, each in a table environment of its own.

A paper needs ``\usepackage{booktabs}`` and ``\input{tables.tex}``, or one table copied out of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from analysis.report.telling.combined import HOW
from analysis.report.telling.facts import Facts
from analysis.words import percent

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "—": "---",
}


def escape(text: object) -> str:
    """Return ``text`` as LaTeX prints it; what plain LaTeX cannot print is left to its UTF-8 input."""
    return "".join(_ESCAPES.get(character, character) for character in str(text))


def table(columns: list[tuple[str, str]], rows: Iterable[Iterable[Any]], caption: str, label: str) -> str:
    r"""Return one table.

    Args:
        columns: (heading, alignment) with alignment ``l``, ``r``, or ``p{WIDTH}`` for cells of several lines.
        rows: cells, as text or numbers.
        caption: below the table.
        label: for ``\ref``.
    """
    lines = [
        r"\begin{table}",
        r"  \centering",
        r"  \small",
        f"  \\begin{{tabular}}{{{''.join(kind for _, kind in columns)}}}",
    ]
    lines += [r"    \toprule", f"    {' & '.join(escape(name) for name, _ in columns)} \\\\", r"    \midrule"]
    lines += [f"    {' & '.join(escape(cell) for cell in row)} \\\\" for row in rows]
    lines += [r"    \bottomrule", r"  \end{tabular}", f"  \\caption{{{escape(caption)}}}", f"  \\label{{tab:{label}}}"]
    return "\n".join([*lines, r"\end{table}"])


def tables(facts: Facts) -> str:
    """Return every table that the run has numbers for; ``facts`` is what `facts.gather` returned."""
    found = [r"% needs \usepackage{booktabs}; written by fer-tune " + facts.version]
    if facts.compared:
        columns = [("configuration", r"p{0.22\textwidth}"), ("backbone", "l"), ("reported", r"p{0.14\textwidth}")]
        columns += [("search", "r"), ("refitted", "r"), ("held-out", "r")]
        names = ("name", "backbone", "reported", "search", "refit", "test")
        caption = (
            f"Published configurations and the searched one on {facts.dataset}: {facts.judged}, best epoch, in the "
            "search and refitted (mean ± sd over seeds), and accuracy in % on the held-out split (95 % interval)."
        )
        found.append(table(columns, [[getattr(row, n) for n in names] for row in facts.compared], caption, "published"))
    if facts.versus:
        columns = [
            ("against", r"p{0.24\textwidth}"),
            ("accuracy", "r"),
            ("p", "r"),
            ("macro F1", "r"),
            ("p", "r"),
        ]
        columns += [("trained models p", "r")]
        compared = ("against", "difference", "p", "macro_f1", "macro_f1_p", "trained")
        rows = [[row[n] for n in compared] for row in facts.versus]
        found.append(table(columns, rows, f"Differences in points. {facts.versus_method}", "differences"))
    test = facts.test
    if test is not None:
        columns = [("metric", "l"), ("mean of seeds", "r"), ("95 % interval", "r"), ("ensemble", "r")]
        rows = [[row["name"], row["value"], row["interval"], row["ensemble"]] for row in facts.scores]
        caption = f"{test.config_id} on the held-out split of {test.dataset} ({test.images:,} images). {test.method}"
        found.append(table(columns, rows, caption, "metrics"))
        columns = [("models", "l"), ("accuracy", "r"), ("balanced accuracy", "r"), ("macro F1", "r")]
        rows = [[row[n] for n in ("name", "accuracy", "balanced", "f1")] for row in facts.views]
        found.append(table(columns, rows, "Views at test time, and ensembles; in %, 95 % intervals.", "views"))
        if facts.combined is not None:
            columns = [("models", "l"), (facts.combined.head, "r"), ("gain", "r"), ("passes", "r"), ("", "l")]
            rows = [[row[n] for n in ("name", "value", "gain", "passes", "chosen")] for row in facts.combined.rows]
            caption = f"One model or several. {HOW} Gain over the single model, with its standard error."
            found.append(table(columns, rows, caption, "combined"))
        scored = ("precision", "recall", "f1", "specificity", "auc")
        columns = [("class", "l"), *((name.replace("f1", "F1").replace("auc", "AUC"), "r") for name in scored)]
        estimates = [[getattr(row, name) for name in scored] for row in test.per_class]
        rows = [
            [row.name, *("–" if e is None else percent(e.value) for e in own), f"{row.support:,}"]
            for row, own in zip(test.per_class, estimates, strict=True)
        ]
        found.append(table([*columns, ("images", "r")], rows, "Each class, in %, means over seeds.", "classes"))
        columns = [("true / predicted", "l"), *((name, "r") for name in test.classes)]
        counts = [[name, *numbers] for name, numbers in facts.confusion]
        found.append(table(columns, counts, "Confusion matrix: counts, summed over seeds.", "confusion"))
    front = facts.pareto
    if front is not None:
        columns = [
            ("trial", "l"),
            ("backbone", "l"),
            ("tried as", "l"),
            (facts.judged_head or "accuracy", "r"),
            (front.head, "r"),
        ]
        cells = ("trial_id", "backbone", "origin", "judged", "value", "front")
        caption = f"What accuracy costs: the trials that none beats in both, and published ones. {front.note}."
        rows = [[row[n] for n in cells] for row in front.rows]
        found.append(table([*columns, ("on the front", "l")], rows, caption, "pareto"))
    if facts.refits:
        columns = [("configuration", "l"), ("tried as", "l"), ("search", "r"), ("mean ± sd", "r"), ("each seed", "l")]
        rows = [[row[n] for n in ("id", "origin", "search", "mean", "each")] for row in facts.refits]
        found.append(table(columns, rows, f"Refits: {facts.judged}, best epoch of each seed.", "refits"))
    return "\n\n".join(found) + "\n"
