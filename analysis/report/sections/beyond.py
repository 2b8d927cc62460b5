"""Sections that look beyond the mean over one split: from group to group of its images."""

from __future__ import annotations

from analysis.report.blocks import Block, Paragraph, Picture, Section, pictures_at, quiet, text
from analysis.report.facts import Facts
from analysis.results import GroupGap
from analysis.words import count, percent


def groups(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return the accuracy in each group of held-out images and how far they are apart; nothing without groups."""
    if facts.test is None or not facts.test.groups:
        return []
    blocks: list[Block] = []
    if (gap := facts.test.group_gap) is not None:
        blocks += [Paragraph(text(gap_sentence(gap))), quiet(_told(gap, facts.test.config_id, len(facts.test.seeds)))]
    return [Section("From group to group", [*blocks, *pictures_at(pictures, "groups")])]


def gap_sentence(gap: GroupGap) -> str:
    """Return the worst group and the gap in words, with bounds that hold although the extremes were picked."""
    seen = (
        f"Of {count(gap.groups, 'group')} of images {gap.worst} is classified worst, {percent(gap.accuracy)} %; the "
        f"worst one, whichever that is, between {percent(gap.low)} and {percent(gap.high)} %. The best, {gap.best}, "
        f"lies {percent(gap.gap)} points higher, where groups that do equally well would lie "
        f"{percent(gap.by_chance)} apart by chance"
    )
    if gap.gap_low > 0:
        return f"{seen}: best and worst differ by {percent(gap.gap_low)} to {percent(gap.gap_high)} points."
    return f"{seen}: no difference between groups is shown (0 to {percent(gap.gap_high)} points)."


def _told(gap: GroupGap, config_id: str, seeds: int) -> str:
    model = "new seeds" if seeds > 1 else "this one trained model"
    few = f"; {count(gap.left_out, 'group')} of fewer than 10 images left out" if gap.left_out else ""
    return (
        f"{config_id}; 95 % intervals for new images of these groups and {model}, corrected for picking the extremes "
        f"(Tukey, Šidák){few}. The figure has each group's own interval, which is not."
    )
