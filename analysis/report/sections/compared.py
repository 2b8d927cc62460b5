"""Sections on the published configurations: beside the searched one, on the same images, and what papers leave open."""

from __future__ import annotations

from analysis.report.form.blocks import (
    Block,
    Bullets,
    Column,
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


def published(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return the published configurations and the searched one; nothing where there is neither."""
    if not facts.compared:
        return []
    columns = [
        Column("configuration"),
        Column("reported by its paper", label="reported"),
        Column("search", "right"),
        Column("refitted", "right"),
        Column("held-out", "right"),
        Column("budget here", look="small"),
    ]
    rows = [
        row(
            stacked(each.name, each.backbone),
            each.reported,
            each.search,
            each.refit,
            each.test,
            each.budget,
            ours=each.kind == "searched",
        )
        for each in facts.compared
    ]
    words = (
        f"Here: {facts.judged}, at the best epoch, in the search (one seed) and refitted (mean ± sd over seeds). "
        "Reported and held-out: accuracy in %, held-out with its 95 % interval. The searched one stands out."
    )
    blocks: list[Block] = [quiet(words), Table(columns, rows), *pictures_at(pictures, "comparison")]
    return [Section("Published configurations and the searched one", blocks)]


def against(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return the winner against each other tested configuration; nothing where no other was tested."""
    if not facts.versus:
        return []
    columns = [
        Column("against"),
        Column("accuracy", "right"),
        Column("p of accuracy", "right", label="p"),
        Column("macro F1", "right"),
        Column("p of macro F1", "right", label="p"),
        Column("p of these trained models (only winner right : only other)", "right", label="trained models"),
    ]
    cells = ("against", "difference", "p", "macro_f1", "macro_f1_p", "trained")
    words = f"Differences in points, winner less the other, with 95 % intervals. {facts.versus_method}"
    blocks: list[Block] = [
        quiet(words),
        Table(columns, [row(*(each[name] for name in cells)) for each in facts.versus]),
        Bullets([text(f"{each['against']}: {each['words']}") for each in facts.versus]),
        *pictures_at(pictures, "differences"),
    ]
    return [Section("The winner against the others, on the same images", blocks)]


def open_settings(facts: Facts) -> list[Section]:
    """Return what the papers leave open and this run chose; nothing where they leave nothing open."""
    if not facts.open_settings:
        return []
    columns = [Column("published configuration"), Column("setting"), Column("ours"), Column("why", look="long")]
    rows = [row(*(each[name] for name in ("published", "field", "value", "why"))) for each in facts.open_settings]
    return [Section("Settings that the papers leave open", [Table(columns, rows)])]
