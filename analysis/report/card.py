"""The model card: what the winner is, what it is for, how good it is, and what is not known."""

from __future__ import annotations

import jinja2

from analysis.report.facts import Facts
from analysis.report.rendering import escape_cell
from analysis.words import count, percent


def model_card(facts: Facts) -> str:
    """Return the card of a run that has a winner, as Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = escape_cell
    return environment.get_template("model_card.md.j2").render(vars(facts), count=count, percent=percent) + "\n"
