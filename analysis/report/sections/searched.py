"""Sections on the search and the refits: their tables, what accuracy costs, and which settings mattered."""

from __future__ import annotations

from analysis.report.form.blocks import (
    Block,
    Column,
    Paragraph,
    Picture,
    Section,
    Table,
    pictures_at,
    quiet,
    row,
    stacked,
    text,
)
from analysis.report.telling.facts import Facts
from analysis.report.telling.rows import LEADERS


def refits(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return every refitted configuration; nothing before the refits."""
    if not facts.refits:
        return []
    columns = [
        Column("configuration"),
        Column("tried as"),
        Column("in search", "right"),
        Column("mean ± sd", "right"),
        Column("each seed"),
        Column("settings", look="long"),
    ]
    cells = ("id", "origin", "search", "mean", "each", "settings")
    blocks: list[Block] = [
        quiet(f"{facts.judged[0].upper()}{facts.judged[1:]}, best epoch of each seed."),
        Table(columns, [row(*(each[name] for name in cells)) for each in facts.refits]),
        *pictures_at(pictures, "refits"),
    ]
    return [Section("Refits", blocks)]


def leaderboard(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return the best trials and what early stopping saved; nothing before a trial has ended."""
    if not facts.leaders:
        return []
    columns = [
        Column("trial"),
        Column("backbone", choices=True),
        *([Column(facts.judged_head, "right")] if facts.judged_head else []),
        Column("accuracy", "right"),
        Column("tried as", choices=True),
        Column("status", choices=True),
        Column("epochs", "right"),
        Column("settings", look="long"),
    ]
    rows = [
        row(
            f"{number}. {each['trial_id']}",
            each["backbone"],
            *([each["value"]] if facts.judged_head else []),
            each["accuracy"],
            each["origin"],
            each["status"],
            str(each["epochs"]),
            each["settings"],
        )
        for number, each in enumerate(facts.leaders, start=1)
    ]
    words = f"One seed each, by {facts.judged}, the best first"
    words += f"; the best {LEADERS} of {facts.trials} trials." if facts.trials > LEADERS else "."
    if facts.leading:
        words += f" {facts.leading[0].upper()}{facts.leading[1:]}."
    blocks: list[Block] = [
        quiet(words),
        Table(columns, rows, first=LEADERS),
        *pictures_at(pictures, "search"),
        *(Paragraph(text(line)) for line in facts.savings),
    ]
    return [Section("Trials of the search", blocks)]


def pareto(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return the trials that none beats in both objectives; nothing for a search with one objective."""
    front = facts.pareto
    if front is None:
        return []
    columns = [
        Column("trial"),
        Column(facts.judged_head or "accuracy", "right"),
        Column(front.head, "right"),
        Column("tried as"),
        Column("on the front"),
        Column("settings", look="long"),
    ]
    cells = ("judged", "value", "origin", "front", "settings")
    rows = [row(stacked(each["trial_id"], each["backbone"]), *(each[name] for name in cells)) for each in front.rows]
    both = f"both {facts.judged_head or 'accuracy'} and {front.meaning}"
    words = f"No trial is better than those on the front in {both}. {front.note}."
    blocks: list[Block] = [quiet(words), Table(columns, rows), *pictures_at(pictures, "pareto")]
    return [Section("What accuracy costs", blocks)]


def mattered(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return which settings mattered, backbone by backbone; nothing before a trial has ended."""
    if not facts.leaders:
        return []
    blocks: list[Block] = []
    if not facts.mattered:
        blocks.append(Paragraph(text(facts.untold)))
    for backbone in facts.backbones:
        if backbone in facts.mattered:
            blocks.append(Paragraph(text(facts.mattered[backbone])))
        blocks += pictures_at(pictures, "settings", backbone)
    return [Section("What mattered", blocks)]
