"""`fer-tune test`: evaluate the winner on the held-out split, once, on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.actions.evaluate import evaluate
from fer_tune.amounts import amount
from fer_tune.cli.parts.shell import command as made_from

if TYPE_CHECKING:
    from rich.console import Console

    from analysis import Run
    from analysis.folds.run import FoldsRun


@made_from(evaluate)
def command(given: dict[str, Any]) -> None:
    from analysis import Run
    from analysis.folds.run import load_any
    from fer_tune.console_table import table_console

    console = table_console(soft_wrap=True)
    run = load_any(given.pop("run"))
    if isinstance(run, Run):
        _one(run, given, console)
    else:
        _over_folds(run, given, console)
    console.print(f"next: fer-tune report {run.quoted}")


def _over_folds(run: FoldsRun, given: dict[str, Any], console: Console) -> None:
    from analysis.folds.writing import answer_of, folds_table, scores_table
    from analysis.report.form.console import plain_table

    result = run.test(**given)
    console.print(plain_table(folds_table(result)))
    console.print(plain_table(scores_table(result)))
    console.print(answer_of(result), markup=False)
    console.print(f"({result.pooled.method})", markup=False)
    console.print(f"recorded in {run.result_file}")


def _one(run: Run, given: dict[str, Any], console: Console) -> None:
    if "on" in given:
        return _elsewhere(run, given, console)
    if not given.get("again") and given.get("corruptions") and run.tests:  # the test was told when it was made
        run.test(**given)
        return _corrupted(run, console)
    from analysis.report.form.console import class_table, plain_table, score_table
    from analysis.report.sections.beyond import gap_sentence
    from analysis.report.sections.combined import combined_table
    from analysis.report.telling.combined import combined
    from analysis.report.telling.findings import footing, standing
    from analysis.report.telling.openings import openings_sentences
    from analysis.run.openings import openings_of, split_ledger
    from analysis.words import percent, span

    result = run.test(**given)
    console.print(f"winner: {result.config_id} ({result.selection})")
    seeds = ", ".join(percent(value) for value in result.accuracy.per_seed)
    accuracy = f"{percent(result.accuracy.value)} % (95 % interval {span(result.accuracy)})"
    console.print(f"test accuracy: {accuracy}, mean of {amount(len(result.seeds), 'seed')}: {seeds}")
    console.print(score_table(result))
    console.print(class_table(result))
    console.print(f"({result.method})")
    if result.group_gap is not None:
        console.print(gap_sentence(result.group_gap), markup=False)
    comparison = run.comparison
    if comparison is not None:
        for pair in comparison.pairs:
            console.print(f"against {pair.second_origin}: {pair.words}", markup=False)
        if told := footing(run, standing(run)):
            console.print(told, markup=False)
    chosen = combined(run)
    if chosen is not None:
        console.print(
            f"\none model or several, on validation: {chosen.head}, gain over the single model ± its standard error"
        )
        console.print(plain_table(combined_table(chosen)))
        for line in chosen.said:
            console.print(line, markup=False)
    known = openings_of(run, split_ledger(run))
    if len(known.own) > 1:
        console.print(f"the held-out split was opened {len(known.own)} times in this run; the report says so")
    for line in openings_sentences(known):
        console.print(f"note: {line}", markup=False)
    console.print(f"recorded in {run.folder.test(result.config_id, result.opening)}")
    if given.get("corruptions"):
        _corrupted(run, console)


def _corrupted(run: Run, console: Console) -> None:
    from analysis.report.form.console import plain_table
    from analysis.report.sections.beyond import corruption_sentence, corruption_table

    found = run.corruptions
    assert found is not None
    console.print(plain_table(corruption_table(found)))
    console.print(corruption_sentence(found), markup=False)
    console.print(f"recorded in {run.folder.corruptions_file(found.config_id, found.opening)}", markup=False)


def _elsewhere(run: Run, given: dict[str, Any], console: Console) -> None:
    from analysis.report.form.console import plain_table
    from analysis.report.sections.beyond import transfer_sentence, transfer_table

    run.test(**given)
    found = max(run.transfers, key=lambda each: each.when)
    console.print(plain_table(transfer_table([found])))
    console.print(transfer_sentence(found), markup=False)
    console.print(f"({found.scores.method})", markup=False)
