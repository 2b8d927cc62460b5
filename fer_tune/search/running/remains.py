"""What only a running trial needs goes when it has ended: its best weights stay."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pyarrow import fs
from ray.tune import Callback

from fer_tune.filing.layout import RUNNING

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


class Remains(Callback):
    """Removes the states of trials that have ended, once a snapshot of Tune's knows that they have.

    Before that, a driver that is killed would have trials going on which it does not know to have ended.  Tune asks for
    what callbacks know while it takes a snapshot; when it asks again, the one before is written.
    """

    def __init__(self) -> None:
        self._ended: dict[str, Trial] = {}  # since the last snapshot began
        self._known: dict[str, Trial] = {}  # that the last snapshot knows to have ended
        self._left: list[str] = []  # trials that had ended before a resume

    def get_state(self) -> dict[str, Any]:
        """What Tune saves: whose states may still be there."""
        _remove(self._known.values())
        self._known, self._ended = self._ended, {}
        return {"left": [*self._left, *self._known]}

    def set_state(self, state: dict[str, Any]) -> None:
        """What Tune restores."""
        self._left = list(state["left"])

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Remove what was left when the driver died."""
        if self._left:
            _remove(trial for trial in trials if trial.trial_id in self._left and trial.is_finished())
            self._left = []

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note a trial that ended."""
        self._ended[trial.trial_id] = trial

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Note a trial that failed."""
        self._ended[trial.trial_id] = trial

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Remove the last ones: Tune has taken its last snapshot."""
        _remove({**self._known, **self._ended}.values())
        self._known, self._ended = {}, {}


def _remove(trials: Any) -> None:
    for trial in trials:
        storage = trial.storage
        path = f"{storage.trial_fs_path}/{RUNNING}"
        with suppress(OSError):  # the store is away, or refuses: they cost room alone
            if storage.storage_filesystem.get_file_info(path).type == fs.FileType.Directory:
                storage.storage_filesystem.delete_dir(path)
