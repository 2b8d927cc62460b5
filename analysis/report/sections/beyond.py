"""Sections that look beyond the mean over one split: from group to group, under corruptions, on other datasets."""

from __future__ import annotations

from analysis.report.form.blocks import (
    Block,
    Bullets,
    Cell,
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
from analysis.results import Corruptions, Estimate, GroupGap, Transfer
from analysis.words import listed, percent, span
from fer_tune.amounts import amount


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
        f"Of {amount(gap.groups, 'group')} of images {gap.worst} is classified worst, {percent(gap.accuracy)} %; the "
        f"worst one, whichever that is, between {percent(gap.low)} and {percent(gap.high)} %. The best, {gap.best}, "
        f"lies {percent(gap.gap)} points higher, where groups that do equally well would lie "
        f"{percent(gap.by_chance)} apart by chance"
    )
    if gap.gap_low > 0:
        return f"{seen}: best and worst differ by {percent(gap.gap_low)} to {percent(gap.gap_high)} points."
    return f"{seen}: no difference between groups is shown (0 to {percent(gap.gap_high)} points)."


def _told(gap: GroupGap, config_id: str, seeds: int) -> str:
    model = "new seeds" if seeds > 1 else "this one trained model"
    few = f"; {amount(gap.left_out, 'group')} of fewer than 10 images left out" if gap.left_out else ""
    return (
        f"{config_id}; 95 % intervals for new images of these groups and {model}, corrected for picking the extremes "
        f"(Tukey, Šidák){few}. The figure has each group's own interval, which is not."
    )


def corrupted(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return the accuracy under common corruptions; nothing where it was not asked for."""
    found = facts.corruptions
    if found is None:
        return []
    told = (
        f"{found.config_id}, tested in opening {found.opening}; accuracy in % with 95 % intervals, on the "
        f"{found.images:,} held-out images at {found.side} pixels. Strengths are those of Hendrycks & Dietterich "
        f"(2019) for images of that size; darkness and occlusion are not among theirs. {found.method} Nothing was "
        "chosen by these figures."
    )
    blocks: list[Block] = [
        Paragraph(text(corruption_sentence(found))),
        quiet(told),
        corruption_table(found),
        *pictures_at(pictures, "corruptions"),
    ]
    return [Section("Under common corruptions", blocks)]


def corruption_sentence(found: Corruptions) -> str:
    """Return what is lost under corruptions on average, and the largest loss seen: which is largest is not shown."""
    worst = max(found.each, key=lambda each: each.loss.value)
    return (
        f"Under {len(found.each)} common corruptions at five strengths {percent(found.mean.value)} % are right on "
        f"average ({span(found.mean)}), {_lost(found.loss)} points less than of the images as they are; the largest "
        f"loss seen is that under {worst.name}, {_lost(worst.loss)} points; the interval takes no account "
        "of its being picked."
    )


def _lost(loss: Estimate) -> str:
    return f"{percent(loss.value)} ({percent(loss.low)} to {percent(loss.high)})"


def corruption_table(found: Corruptions) -> Table:
    """Return a row for each corruption: its accuracy at each strength, their mean, and what is lost."""
    strengths = [str(at.strength) for at in found.each[0].at]
    columns = [Column("corruption"), *(Column(f"strength {name}", "right") for name in strengths)]
    columns += [Column("mean", "right"), Column("points lost", "right", label="lost")]
    rows = [
        row(each.name, *(_cell(at.accuracy) for at in each.at), _cell(each.mean), _cell(each.loss))
        for each in found.each
    ]
    empty = [""] * len(strengths)
    rows.append(row("mean", *empty, _cell(found.mean), _cell(found.loss), ours=True))
    rows.append(row("clean", *empty, _cell(found.clean), ""))
    return Table(columns, rows)


def _cell(estimate: Estimate) -> Cell:
    return stacked(percent(estimate.value).replace("-", "−"), span(estimate).replace("-", "−"))


def elsewhere(facts: Facts) -> list[Section]:
    """Return how the tested models fare on other datasets; nothing where none was read."""
    if not facts.transfers:
        return []
    told = (
        "The models that were tested, on held-out splits of datasets that they never saw; accuracy in %, mean over "
        "seeds, with 95 % intervals for new images or, where a dataset tells people apart, new people, and new seeds. "
        "Shared classes: only images of classes that both have, the answer the likeliest of those. All: every image "
        "and any answer, so an image of a class that the models do not know is always wrong. At home: the shared "
        "classes on the run's own held-out split. Datasets differ in their classes' shares, which the balanced "
        "accuracy leaves out."
    )
    blocks: list[Block] = [quiet(told), transfer_table(facts.transfers)]
    blocks.append(Bullets([text(transfer_sentence(each)) for each in facts.transfers]))
    return [Section("On other datasets", blocks)]


def transfer_table(found: list[Transfer]) -> Table:
    """Return a row for each other dataset."""
    columns = [
        Column("tested on"),
        Column("shared classes", "right", label="shared"),
        Column("balanced, shared classes", "right", label="balanced"),
        Column("all", "right"),
        Column("at home", "right"),
        Column("balanced, at home", "right", label="home, balanced"),
        Column("images", "right"),
    ]
    rows = []
    for each in found:
        home: list[str | Cell] = ["–", "–"]
        if each.home is not None:
            home = [_cell(each.home.accuracy), _cell(each.home.balanced_accuracy)]
        rows.append(
            row(
                each.tested_on,
                _cell(each.scores.accuracy),
                _cell(each.scores.balanced_accuracy),
                _cell(each.every),
                *home,
                stacked(f"{each.scores.images:,}", f"of {each.images:,}"),
            )
        )
    return Table(columns, rows)


def transfer_sentence(each: Transfer) -> str:
    """Return which classes were compared, what was left out and how images were brought, in words."""
    parts = [f"{each.tested_on}, read by {each.config_id}: shared classes {listed(each.shared)}"]
    if each.only_trained:
        parts.append(f"only {each.trained_on} has {listed(each.only_trained)}")
    if each.only_tested:
        parts.append(f"the models do not know {listed(each.only_tested)}")
    if each.known:
        parts.append(f"{amount(each.known, 'image')} left out that {each.trained_on} has in train or validation")
    if each.brought:
        parts.append(f"images brought {each.brought}")
    if each.scores.groups_sampled > 1:
        parts.append(f"intervals for new groups like its {each.scores.groups_sampled:,}")
    if each.reading > 1:
        parts.append(f"read {each.reading} times by this run")
    return "; ".join(parts) + "."
