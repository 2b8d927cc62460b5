"""What a reader of a run's figures has to know of the openings of its held-out split, beside their number."""

from __future__ import annotations

from analysis.run.openings import Openings
from fer_tune.amounts import amount


def openings_sentences(known: Openings) -> list[str]:
    """Return a sentence where the records do not hold, where other runs read the images, where those may not know."""
    found = []
    if known.faults:
        found.append(
            "The records of the held-out split do not hold, so how often it was read, or whether these are the results "
            f"that it gave, is not certain: {'; '.join(known.faults)}."
        )
    if names := known.other_runs:
        found.append(
            f"The same held-out images were read by {amount(len(names), 'other run')} too: {', '.join(names)}. The "
            "best of several runs on one split flatters itself."
        )
    if known.not_noted:
        found.append(
            f"A reading by this run could not be noted {' or '.join(known.not_noted)}, where its folder cannot be "
            "written: other runs on the same images may not be told of it."
        )
    return found
