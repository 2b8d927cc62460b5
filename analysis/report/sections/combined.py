"""Section on how the models are used together: every way that validation judged, and the test of the chosen one."""

from __future__ import annotations

from analysis.report.form.blocks import Block, Bullets, Column, Section, Table, quiet, row, text
from analysis.report.telling.combined import HOW, Combined


def combined(facts: Combined | None) -> list[Section]:
    """Return the ways to use the models; nothing where none was chosen."""
    if facts is None:
        return []
    blocks: list[Block] = [quiet(HOW), combined_table(facts), Bullets([text(line) for line in facts.said])]
    return [Section("One model or several: what validation chose", blocks)]


def combined_table(facts: Combined) -> Table:
    """Return a row for each way, the one with the fewest passes first; the chosen one stands out."""
    columns = [
        Column("models"),
        Column(f"{facts.head}, validation", "right", label="validation"),
        Column("gain over the single model ± its standard error", "right", label="gain"),
        Column("passes per image", "right", label="passes"),
        Column("chosen"),
    ]
    rows = [
        row(*(each[name] for name in ("name", "value", "gain", "passes", "chosen")), ours=bool(each["chosen"]))
        for each in facts.rows
    ]
    return Table(columns, rows)
