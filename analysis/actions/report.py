"""Write everything that a run has found into one report, with figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_tune.door import door

if TYPE_CHECKING:
    from analysis.report.writing import Written
    from analysis.run import RunRecord


@door
def report(run: RunRecord) -> Written:
    """Write RUN/report: report.html, report.md, tables.tex, a model card and figures (png and pdf).

    What is still to be done is said in it.

    Returns:
        What was written, and the answer in one sentence.
    """
    from analysis.report.writing import write_report
    from fer_tune.storage.runs import check_writes, kept

    check_writes(run.folder)
    with kept(run.folder):
        return write_report(run)
