"""What the card says of splits and hygiene, in sentences for a person."""

from __future__ import annotations

from fer_tune.amounts import amount
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.preparing.cleaning.findings import LIST_FILE


def hygiene_sentences(card: DatasetCard) -> list[str]:
    """Return one line per fact worth reading: the split policy, what was dropped and why, what was only found."""
    lines = [f"source: {card.source}"]
    lines += [f"WARNING: {warning}" for warning in card.hygiene.get("warnings", [])]
    if "policy" in card.splits:
        lines.append(f"splits: {card.splits['policy']}{_test(card)}{_validation(card)}")
    if "people" in card.splits and card.splits.get("split") != "random":
        lines.append(f"people: each stands on one side; they are told by {card.splits['people']}")
    report = card.hygiene
    if "splits" not in report:
        return lines
    found = sum(split["found"] for split in report["splits"].values())
    dropped = [
        f"{count:,} of {split}, group of another split"
        for split, count in card.splits.get("dropped_as_group_of_another_split", {}).items()
        if count
    ]
    for split, facts in report["splits"].items():
        dropped += [f"{count:,} of {split}, {reason}" for reason, count in facts["dropped"].items()]
        if facts["unreadable"]:
            empty = facts.get("zero_bytes", 0)
            dropped.append(
                f"{facts['unreadable']:,} of {split}, unreadable{f' ({empty:,} of 0 bytes)' if empty else ''}"
            )
    if report["unreadable_rows"]:
        dropped.append(f"{report['unreadable_rows']:,} unreadable entries")
    lines.append(f"dropped: {'; '.join(dropped) or 'nothing'}")
    twins = report["test_with_twin_in_train_or_val"]
    if twins:
        fate = "kept there (--keep-duplicates)" if report["keep_duplicates"] else "the twins are dropped there"
        lines.append(f"leaks: {twins:,} of the test images also in train or val, identically; {fate}")
    overall = report["overall"]
    lines.append(
        f"duplicates: {overall['extra_copies']:,} of {found:,} images repeat another; sets of equal images: "
        f"{overall['groups']:,}, with conflicting labels: {overall['groups_with_conflicting_labels']:,}; those within "
        "one split are kept"
    )
    if near := report.get("near_duplicates"):
        across = "; ".join(f"{count:,} {place}" for place, count in near["across"].items())
        images = amount(near["images"], "image")
        fate = "dropped by the same rule" if near["dropped"] else "kept; --drop-near-duplicates drops them"
        lines.append(f"near-duplicates (by perceptual hash): {images}; {across}; {fate}")
    blank = {split: facts["blank"] for split, facts in report["splits"].items() if facts["blank"]}
    if blank:
        parts = ", ".join(f"{count:,} of {split}" for split, count in blank.items())
        lines.append(f"blank images: {parts}; kept unless dropped as duplicates")
    lines += [f"note: {note}" for note in report["notes"]]
    if ignored := report.get("ignored"):
        lines.append(f"ignored: {'; '.join(ignored)}")
    if unlabelled := report.get("unlabelled"):
        lines.append(f"without labels: {', '.join(unlabelled)}; not read, `fer-tune predict` takes it")
    if card.content_hash:  # nothing is listed in a dry run
        lines.append(f"every one of these images is listed in {LIST_FILE}")
    return lines


def _test(card: DatasetCard) -> str:
    """Say how the test was taken, where nothing was published."""
    about = card.splits
    if about.get("split") == "random":
        return f"; the test is a stratified {about['test_fraction']:.0%} of all"
    if about.get("split") == "character":
        fold = "fold {} of {}: ".format(*about["fold"]) if "fold" in about else ""
        return f"; {fold}the test is {_groups(about['test_characters'])}, left out of the rest"
    return ""


def _validation(card: DatasetCard) -> str:
    about = card.splits
    if "val_fraction" not in about:
        return ""
    if about.get("split") == "character":
        return f", and validation {_groups(about['val_characters'])}, seed {about['seed']}"
    rest = "the rest" if about.get("split") == "random" else "train"
    if about["validation"].startswith("whole groups"):
        return f"; validation is about {about['val_fraction']:.0%} of {rest} in whole groups, seed {about['seed']}"
    return f"; validation is a stratified {about['val_fraction']:.0%} of {rest}, seed {about['seed']}"


def _groups(named: list[str] | int) -> str:
    return f"{named:,} groups" if isinstance(named, int) else ", ".join(named)  # people, or characters of a film
