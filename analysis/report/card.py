"""The model card: what the winner is, what it is for, how good it is, and what is not known.

It begins with the metadata by which Hugging Face's hub finds and shows a model
(https://huggingface.co/docs/hub/model-cards): what the model does, and its results as the hub's ``model-index``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import jinja2

from analysis.report.form.rendering import escape_cell
from analysis.report.telling.facts import Facts
from analysis.results import Estimate, TestResult
from analysis.words import percent, span
from fer_tune.amounts import amount

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


def model_card(facts: Facts) -> str:
    """Return the card of a run that has a winner, as Markdown with its metadata before it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = escape_cell
    body = environment.get_template("model_card.md.j2").render(
        vars(facts), amount=amount, percent=percent, bounded=_bounded
    )
    return f"---\n{_metadata(facts)}\n---\n\n{body}\n"


def _bounded(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} ({span(estimate)})"


def _metadata(facts: Facts) -> str:
    """Return the metadata as YAML; the held-out scores are in it once there are any."""
    from huggingface_hub import ModelCardData

    test = facts.test
    backbone = facts.backbones if test is None else [test.backbone]
    data = ModelCardData(
        library_name="pytorch",
        pipeline_tag="image-classification",
        tags=["facial-expression-recognition", "fer-tune", *backbone],
        metrics=["accuracy", "f1"],
        model_name=None if test is None else test.config_id,
        eval_results=None if test is None else _results(facts, test),
    )
    return str(data.to_yaml())


def _results(facts: Facts, test: TestResult) -> list[EvalResult]:
    """Return the held-out scores as the hub knows them: shares in [0, 1], means over the seeds."""
    from huggingface_hub import EvalResult

    seeds = f"mean of {amount(len(test.seeds), 'seed')}"
    scores: list[tuple[str, str, Estimate]] = [
        ("accuracy", "accuracy", test.accuracy),
        ("accuracy", "balanced accuracy", test.balanced_accuracy),
        ("f1", "macro F1", test.macro_f1),
    ]
    return [
        EvalResult(
            task_type="image-classification",
            task_name="facial expression recognition",
            dataset_type=re.sub(r"[^A-Za-z0-9._-]+", "-", facts.dataset),
            dataset_name=facts.dataset,
            dataset_split="test",
            dataset_revision=test.content_hash,
            metric_type=kind,
            metric_name=f"{name}, {seeds}",
            metric_value=round(estimate.value, 4),
        )
        for kind, name, estimate in scores
    ]
