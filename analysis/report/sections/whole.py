"""The whole report: what it opens with, the order of its sections, and how it ends."""

from __future__ import annotations

from analysis.report.form.blocks import (
    Block,
    Bullets,
    Definitions,
    Note,
    Paragraph,
    Picture,
    Report,
    Section,
    Span,
    quiet,
    text,
)
from analysis.report.sections.beyond import corrupted, elsewhere, groups
from analysis.report.sections.combined import combined
from analysis.report.sections.compared import against, open_settings, published
from analysis.report.sections.searched import leaderboard, mattered, pareto, refits
from analysis.report.sections.tested import calibration, costs, errors, held_out
from analysis.report.telling.facts import Facts


def describe(facts: Facts, pictures: list[Picture]) -> Report:
    """Return the report of a run, as far as the run is.

    Args:
        facts: what `analysis.report.telling.facts.gather` found.
        pictures: the figures, in the order in which they were drawn; empty for a report of words and tables alone.
    """
    sections = [
        *published(facts, pictures),
        *against(facts, pictures),
        *held_out(facts, pictures),
        *groups(facts, pictures),
        *combined(facts.combined),
        *corrupted(facts, pictures),
        *elsewhere(facts),
        *calibration(facts, pictures),
        *costs(facts),
        *errors(facts, pictures),
        *refits(facts, pictures),
        *leaderboard(facts, pictures),
        *pareto(facts, pictures),
        *mattered(facts, pictures),
        *open_settings(facts),
        _how(facts),
        _limits(facts, figures=bool(pictures)),
    ]
    return Report(facts.title, _opening(facts), sections)


def _opening(facts: Facts) -> list[Block]:
    blocks: list[Block] = [Paragraph(text(facts.answer), "answer")]
    if facts.footing:
        blocks.append(Paragraph(text(facts.footing)))
    blocks += [Paragraph(text(line), "warning") for line in facts.openings_said]
    if facts.luck:
        blocks.append(Paragraph(text(facts.luck)))
    if facts.next_command:
        blocks.append(Note(text("Not finished. Next: ", Span(facts.next_command, code=True))))
    return blocks


def _how(facts: Facts) -> Section:
    told = list(facts.how)
    for number, line in enumerate(facts.openings, start=1):
        words = f"{line['when']}, {line['what']}: {line['why']}; split {line['split_hash'][:16]}"
        told.append((f"opening {number}", words))
    for line in facts.readings:
        kind = "under corruptions" if line["kind"] == "corruptions" else f"on {line['dataset']}"
        told.append((f"read further {kind}", f"{line['when']}, {line['what']}: {line['why']}"))
    return Section("How it was obtained", [Definitions([(text(name), text(words)) for name, words in told])])


def _limits(facts: Facts, *, figures: bool) -> Section:
    last = f"fer-tune {facts.version}, written {facts.written}."
    if figures:
        last += " The figures stand beside this file as png and pdf."
    return Section("What it does not show", [Bullets([text(line) for line in facts.limits]), quiet(last)])
