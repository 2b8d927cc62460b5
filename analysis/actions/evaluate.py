"""Evaluate the winner of a run on the held-out split, once, on record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typing_extensions import Doc

from fer_tune.door import door

if TYPE_CHECKING:
    from analysis.results import TestResult
    from analysis.run import RunRecord


@door
def evaluate(
    run: RunRecord,
    *,
    again: Annotated[bool, Doc("Open the held-out split once more; the report counts it.")] = False,
    why: Annotated[str | None, Doc("The reason to note in the ledger.")] = None,
    tta: Annotated[bool, Doc("Also average over mirror image and ten crops.")] = True,
    combine: Annotated[
        bool,
        Doc(
            "Choose on validation among one model, ensembles of seeds or all refits, and mirror images; test that too."
        ),
    ] = True,
    data: Annotated[str | Path | None, Doc("Where the prepared dataset is now, if it was moved.")] = None,
    corruptions: Annotated[
        bool, Doc("Also read the split blurred, noisy, compressed, lit otherwise and occluded; after the test too.")
    ] = False,
    on: Annotated[
        str | Path | None,
        Doc("After the test: read the held-out split of this other dataset, on record there too."),
    ] = None,
) -> TestResult:
    """Evaluate the refitted winner of RUN (best mean validation accuracy) on the split that nothing has read yet.

    Published configurations that were refitted are evaluated beside it, in the same opening, and compared with it.

    Returns:
        The winner's scores, each with its interval and the value of each seed; what ``corruptions`` and ``on`` give is
        in `RunRecord.corruptions` and `RunRecord.transfers`.

    Raises:
        UserError: nothing is refitted, or the split was opened before and ``again`` is not given.
    """
    from analysis.heldout.corruptions import run_corruptions
    from analysis.heldout.opening import run_test
    from analysis.heldout.transfer import run_transfer
    from analysis.recording.record import record_corruptions, record_test, record_transfer
    from analysis.results import VIEW_NAMES
    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.errors import UserError
    from fer_tune.storage.runs import check_writes, kept

    if on is not None and corruptions:
        raise UserError("--on, --corruptions: one at a time; each is a reading of its own")
    check_writes(run.folder)
    with kept(run.folder):
        if on is not None:
            found = run_transfer(run, on, data=data, again=again, why=why)
            record_transfer(run, found, PreparedDataset.open(on).card)
        elif again or not (corruptions and run.tests):
            views = tuple(VIEW_NAMES) if tta else ()
            result = run_test(run, data=data, again=again, why=why, views=views, combine=combine)
            record_test(run, result)
        if corruptions:
            record_corruptions(run, run_corruptions(run, data=data, why=why))
    return run.tests[0]
