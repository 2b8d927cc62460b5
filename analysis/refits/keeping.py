"""What is kept of a refit while it trains: written in the background and as often as pays, as of a trial."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyarrow import fs
from torch import nn

from fer_tune.filing.layout import RUNNING, STATE
from fer_tune.training.keeping import checkpoint
from fer_tune.training.keeping.background import BackgroundKeeper


class RefitKeeper(BackgroundKeeper):
    """Keeps a refit in its folder: the best weights, and while it trains the states that it can go on from.

    Args:
        folder: of the refit, on this machine.
        every: seconds between two states, see `BackgroundKeeper`.
        stop_epoch: the epoch whose weights are kept, whatever validation says; None keeps the best ones.
    """

    def __init__(self, folder: Path, every: float | None, stop_epoch: int | None) -> None:
        super().__init__(str(folder), fs.LocalFileSystem(), every)
        self._folder, self._stop_epoch = folder, stop_epoch

    def keep(
        self,
        folder: Path,
        epoch: int,
        model: nn.Module,
        state: Callable[[], dict[str, Any]],
        best: nn.Module | None,
        classes: Sequence[str],
        finished: bool,
    ) -> None:
        """See :class:`fer_tune.training.keeping.checkpoint.Keeper`."""
        if self._stop_epoch is None:
            super().keep(folder, epoch, model, state, best, classes, finished)
            return
        last = finished or epoch == self._stop_epoch
        super().keep(folder, epoch, model, state, None, classes, last)
        if last:  # what is evaluated, and so kept, is the average of the weights where there is one
            checkpoint.save_best(self._folder, state().get("average", model.state_dict()), classes)

    def epoch_ended(self) -> None:
        """Count a state that is there as one to go on from, so that older ones may go."""
        if (epoch := self.ready()) is not None:
            self.name(epoch)


@contextmanager
def keeping(folder: Path, every: float | None, stop_epoch: int | None) -> Iterator[tuple[RefitKeeper, Path]]:
    """Yield what keeps the refit in ``folder``, and a folder to train in, with the last state that there is.

    At the end of the block all that was begun is written; without an error, what only an interrupted refit needs goes.
    """
    keeper = RefitKeeper(folder, every, stop_epoch)
    try:
        with TemporaryDirectory(prefix="fer-tune-") as place:
            if states := [int(file.parent.name.removeprefix("epoch_")) for file in folder.glob(f"{RUNNING}/*/{STATE}")]:
                keeper.fetch(max(states), Path(place))
            yield keeper, Path(place)
    finally:
        keeper.close()
    shutil.rmtree(folder / RUNNING, ignore_errors=True)
