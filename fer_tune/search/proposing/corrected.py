"""A trial that ended otherwise than its study knows."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from fer_tune.kinds import TOO_LARGE


def ended_otherwise(
    study: optuna.Study, known: FrozenTrial, state: TrialState, values: Sequence[float], too_large: bool = False
) -> int:
    """Add a trial to ``study`` that ended as it did after all, and return its number.

    A driver that is killed may have told the study how a trial ended before Tune saved it.  Then Tune runs the trial's
    end again, which may come otherwise: a failure that passes does not strike twice.  Optuna keeps what it was told of
    a trial, so another one with its settings and its ``trial_id`` says what Tune and the tables say.
    """
    again = create_trial(
        state=state,
        values=list(values) if state == TrialState.COMPLETE else None,
        params=known.params,
        distributions=known.distributions,
        user_attrs=known.user_attrs,
        constraints={TOO_LARGE: 1.0} if too_large else None,
        intermediate_values=known.intermediate_values,
    )
    study.add_trial(again)
    return len(study.get_trials(deepcopy=False)) - 1
