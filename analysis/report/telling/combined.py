"""How the models are used together, in words: what validation chose, how far that flatters, and how it was tested."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.run import RunRecord
from analysis.run.combinations import Gain, TestedChoice, latest_choice
from analysis.words import p_text, percent, points, span, told, unit
from fer_tune.amounts import amount
from fer_tune.objectives import Aim

HOW = (
    "Judged on validation images, each ensemble on those that its shares were not fitted to. Of the ways within one "
    "standard error of the best, that with the fewest passes is chosen, before the held-out split is opened."
)


@dataclass(frozen=True)
class Combined:
    """What a report tells of the ways to use the models together."""

    head: str  # what they are judged by, with its unit
    rows: list[dict[str, str]]
    said: list[str]


def combined(run: RunRecord) -> Combined | None:
    """Return what there is to tell of the latest test; None where nothing was chosen."""
    tested = latest_choice(run)
    if tested is None:
        return None
    rows = [
        {
            "name": way.name,
            "value": told(way.value, run.aim),
            "gain": "" if (way.kind, way.views) == ("single", "none") else _gained(way.gain, way.margin, run.aim),
            "passes": str(way.passes),
            "chosen": "chosen" if way is tested.choice.combination else "",
        }
        for way in tested.choice.combinations
    ]
    head = f"{run.aim.meaning.removeprefix('validation ')} in {unit(run.aim)}"
    said = [*_promised(tested, run.aim), *_tested(tested, run.aim), *(_sentence(why) for why in tested.choice.left_out)]
    return Combined(head, rows, said)


def _promised(tested: TestedChoice, aim: Aim) -> list[str]:
    """Return what the choice promised on validation, and what of that is left when other images judge it."""
    choice = tested.choice
    images = f"{choice.images:,} validation images" + (f" of {choice.groups:,} groups" if choice.groups > 1 else "")
    if choice.is_single:
        return [f"On the {images} no other way is better by more than one standard error: the single model is kept."]
    own = choice.combination
    return [
        f"On the {images} the {own.name} gains {_gained(own.gain, own.margin, aim)} {_unit(aim)} over the single "
        "model. A figure by which something is chosen flatters it: when images judge that had no part in the choice, "
        f"choosing gains {_gained(choice.gain, choice.margin, aim)}."
    ]


def _tested(tested: TestedChoice, aim: Aim) -> list[str]:
    """Return how the chosen combination did on the held-out images, and what it costs."""
    if tested.scores is None or tested.gain is None:
        return []
    own, scores = tested.choice.combination, tested.scores
    right = f"classifies {percent(scores.accuracy.value)} % of the {scores.images:,} correctly"
    right += f" (95 % interval {span(scores.accuracy)})"
    cost = f"It takes {own.passes} forward passes for an image" if own.passes > 1 else "It takes one forward pass"
    if tested.parameters is not None and tested.times_slower is not None:
        cost += f", {tested.parameters:,} parameters and {tested.times_slower:.1f} times as long as the single model"
    return [f"On the held-out images the {own.name} {right}. {gain_words(tested.gain, aim)} {cost}."]


def gain_words(gain: Gain, aim: Aim) -> str:
    """Return how it compares with the single model on the same held-out images, with its interval."""
    interval = f"95 % interval {_signed(gain.low, aim)} to {_signed(gain.high, aim)}"
    of = "" if aim.column == "val_accuracy" else f" of {aim.meaning.removeprefix('validation ')}"
    found = f"{_signed(gain.value, aim)} {_unit(aim)}{of}"
    if not gain.shown:
        return f"No difference from the single model is shown there: {found} ({interval})."
    for_all = f", corrected for {amount(gain.comparisons, 'comparison')}" if gain.comparisons > 1 else ""
    better = "better" if gain.value > 0 else "worse"
    return f"That is {better} than the single model: {found} ({interval}, p {p_text(gain.p)}{for_all})."


def _gained(value: float, margin: float, aim: Aim) -> str:
    return f"{_signed(value, aim)} ± {told(margin, aim)}"


def _signed(value: float, aim: Aim) -> str:
    """Return a gain, more is better, in points, or in nats for a loss."""
    return points(value) if aim.share else f"{value:+.3f}".replace("-", "−")


def _unit(aim: Aim) -> str:
    return "points" if aim.share else "nats"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
