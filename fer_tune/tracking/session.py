"""W&B runs kept by a thread of their own, so that a slow, dead or missing W&B costs a search nothing.

Every call returns at once; the thread carries the calls out in order. What goes wrong there is told in one warning,
and the recording goes on offline where that is possible.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.storage.moved import where_now
from fer_tune.tracking import service
from fer_tune.tracking.attached import Attachments
from fer_tune.tracking.mode import Mode, finish_seconds, key_problem, quieten
from fer_tune.tracking.sweep import NoAnswerError, SweepOfSearch
from fer_tune.tracking.wandb_internals import service_process

if TYPE_CHECKING:
    from subprocess import Popen

    from wandb import Run

UNFINISHED = "unfinished"
"""A file in the folder of an online run that the server does not have whole, as `fer-tune sync` looks for."""

_log = logging.getLogger(__name__)
_open_sessions = 0  # of this process: the last one to close ends W&B's service process
_open_sessions_lock = threading.Lock()


class Session:
    """The W&B runs of one search, refit or test, under ``folder/wandb``.

    Args:
        folder: the run folder.
        mode: online, offline or disabled; disabled does nothing at all and never imports wandb.
        init_timeout: seconds to wait for the server before recording offline.
        finish_timeout: seconds that :meth:`close` waits for uploads; what is left then stays on disk for
            `fer-tune sync`.  `mode.finish_seconds` by default.
    """

    def __init__(
        self, folder: Path, mode: Mode, *, init_timeout: float = 15.0, finish_timeout: float | None = None
    ) -> None:
        self.folder = folder
        self.mode: Mode = mode  # falls from online to offline to disabled as W&B fails
        self._asked_mode: Mode = mode
        self.warning: str | None = None  # the one warning, once there is one
        self.init_timeout = init_timeout
        self.finish_timeout = 60.0 if finish_timeout is None else finish_timeout
        self._runs: dict[str, Run] = {}
        self._asked: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}  # open run -> wandb.init's words, rows
        self._finishing: list[threading.Thread] = []
        self._endings: list[service.Ending] = []  # of the offline runs that are finished
        self._uploading: set[Path] = set()  # folders of the online runs that the server does not have whole
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._service: Popen[bytes] | None = None  # W&B's own process
        self._failures = 0
        self._abandoned = False
        self._sweep: SweepOfSearch | None = None  # that trials belong to, once they are asked to
        if finish_timeout is None:
            try:
                self.finish_timeout = finish_seconds()
            except UserError as error:  # `resolve_mode` refuses it before a search; here it must not cost a result
                self._warn(f"W&B: {error}")

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings alone: open runs belong to this process, and after a resume W&B may be back."""
        settings = {"folder": self.folder, "mode": self._asked_mode}
        return {**settings, "init_timeout": self.init_timeout, "finish_timeout": self.finish_timeout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**{**state, "folder": where_now(RunFolder(state["folder"])).path})  # type: ignore[misc]

    def begin_sweep(self) -> None:
        """Have the trials that start after this be runs of one sweep: the search whose run folder this is."""
        if self._sweep is None:
            self._sweep = SweepOfSearch(self.folder)
            self._put(self._begin_sweep)

    def end_sweep(self) -> None:
        """Have the sweep shown as finished, or as paused where trials are left."""
        if found := self._sweep:
            self._put(lambda: found.end(self.init_timeout) if self.mode == "online" else None)

    def start(self, run_id: str, history: Iterable[dict[str, Any]] = (), **init: Any) -> None:
        """Open a run, or go on with it: the id is stable.

        Args:
            run_id: as W&B takes it, see `names.run_id`.
            history: rows logged before, by a process that is gone. An offline run begins with them, so that what
                this one writes is whole by itself; the server has those of an online run.
            init: goes to `wandb.init`; ``step`` is what the history is drawn over, the epoch by default, and ``stats``
                has W&B record how this machine is used meanwhile.
        """
        rows = list(history)
        self._put(lambda: self._start(run_id, init, rows))

    def log(self, run_id: str, row: dict[str, Any]) -> None:
        """Add one row, with its epoch, to an open run's history."""
        self._put(lambda: self._log(run_id, row))

    def attach(self, run_id: str, what: Attachments) -> None:
        """Add tables, charts and artifacts to an open run."""
        self._put(lambda: self._guarded(run_id, lambda run: service.attach(run, self.folder, what)))

    def finish(self, run_id: str, summary: dict[str, Any], exit_code: int = 0) -> None:
        """Write the summary and end the run; ``exit_code`` 0 is shown as finished, others as failed."""
        self._put(lambda: self._finish(run_id, summary, exit_code))

    def close(self) -> None:
        """Wait for what is under way, `finish_timeout` seconds at most, and end W&B's service process. Repeatable."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        deadline = time.monotonic() + self.finish_timeout
        self._calls.put(lambda: self._end(deadline))
        self._calls.put(None)
        thread.join(self.finish_timeout + 1)
        self._abandoned = thread.is_alive()
        if self._abandoned or self._uploading:
            self._warn(
                f"W&B: not done {self.finish_timeout:g} s after the end; what is recorded is kept in "
                f"{self.folder / 'wandb'}, upload it with `fer-tune sync`"
            )
        if self._abandoned:
            self.mode = "disabled"
            service.end(self._service)  # else W&B's exit hook would wait for it without end
        for path in self._uploading.copy():
            with suppress(OSError):
                (path / UNFINISHED).touch()
        with _open_sessions_lock:
            global _open_sessions
            _open_sessions -= 1

    def _put(self, call: Callable[[], None]) -> None:
        if self.mode == "disabled":
            return
        if self._thread is None:
            with _open_sessions_lock:
                global _open_sessions
                _open_sessions += 1
            self._abandoned = False
            self._thread = threading.Thread(target=self._work, name="fer-tune-wandb", daemon=True)
            self._thread.start()
        self._calls.put(call)

    # What follows runs in the thread.

    def _work(self) -> None:
        quieten()
        while (call := self._calls.get()) is not None:
            try:
                call()
            except (Exception, SystemExit) as error:  # the last net: nothing that W&B does may end the thread
                self._warn(f"W&B: {_one_line(error)}")

    def _begin_sweep(self) -> None:
        assert self._sweep is not None
        try:
            self._sweep.begin(self.init_timeout, online=self.mode == "online" and not key_problem())
        except NoAnswerError as error:
            self.mode = "offline"
            self._restart()
            self._warn_of_fall(error)

    def _start(self, run_id: str, init: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        if run_id in self._runs:
            return  # a trial that is tried again goes on in its run
        self._asked[run_id] = (init, rows)
        failure: Exception | None = None
        before, tried_again = self.mode, False
        while self.mode != "disabled" and not self._abandoned:
            try:
                run = self._init(run_id, init)
                for row in rows if self.mode == "offline" else ():
                    run.log(row)
                self._runs[run_id] = run
                break
            except Exception as error:
                failure = failure or error
                if self.mode == "online":
                    self.mode = "offline"
                elif tried_again:
                    self.mode = "disabled"
                else:  # the end of another session may have torn W&B down under this one
                    tried_again = True
                self._restart()
        if failure is not None and self.mode != before:
            self._warn_of_fall(failure)

    def _init(self, run_id: str, init: dict[str, Any]) -> Run:
        if self.mode == "online" and (problem := key_problem()):
            raise UserError(problem)  # W&B would ask for a key at the terminal
        limits = {"init_timeout": self.init_timeout, "finish_timeout": self.finish_timeout}
        rest = {name: value for name, value in init.items() if name not in ("step", "stats")}
        of = self._sweep if init.get("job_type") == "trial" else None
        step, stats = init.get("step", "epoch"), init.get("stats", False)
        run = service.open_run(run_id, self.folder, self.mode, limits, rest, step, of.id if of else None, stats)
        self._service = service_process()
        if of and of.failure and self.mode == "online":  # it is not the whole of W&B that fails
            self._warn(f"W&B: no sweep is made of this search ({_one_line(of.failure)}); its runs are recorded")
            of.failure = None
        if self.mode == "online":
            self._uploading.add(Path(run.settings.sync_dir))
        return run

    def _log(self, run_id: str, row: dict[str, Any]) -> None:
        self._guarded(run_id, lambda run: run.log(row))
        if run_id in self._asked:
            self._asked[run_id][1].append(row)

    def _guarded(self, run_id: str, call: Callable[[Run], None]) -> None:
        """Do ``call``; where that fails, start W&B anew, offline, and do it once more."""
        if run_id not in self._runs and run_id in self._asked:
            self._start(run_id, *self._asked[run_id])
        if run_id not in self._runs or self.mode == "disabled":
            return
        try:
            call(self._runs[run_id])
        except Exception as error:
            if self._abandoned:
                return
            self._failures += 1
            self.mode = "offline" if self._failures <= 3 else "disabled"
            self._restart()
            if self.mode == "offline":
                self._start(run_id, *self._asked[run_id])
                with suppress(Exception):
                    call(self._runs[run_id])
            self._warn_of_fall(error)

    def _restart(self) -> None:
        """Leave W&B's service process, and with it all runs; those still needed open again, offline, as they are."""
        for run in self._runs.values():
            self._uploading.discard(Path(run.settings.sync_dir))  # the offline record will be whole
        self._runs.clear()
        service.end(service_process())

    def _finish(self, run_id: str, summary: dict[str, Any], exit_code: int) -> None:
        def end(run: Run) -> None:
            run.summary.update(summary)
            if self.mode == "offline":
                self._endings.append(service.Ending.of(run))
                run.finish(exit_code)
                if not service.room(self.folder):
                    self._warn_of_gap(run_id)
                return
            thread = threading.Thread(target=self._finish_online, args=(run, exit_code), daemon=True)
            thread.start()  # an upload that waits for the network must not hold up the other runs' data
            self._finishing.append(thread)

        self._guarded(run_id, end)
        self._runs.pop(run_id, None)
        self._asked.pop(run_id, None)

    def _finish_online(self, run: Run, exit_code: int) -> None:
        with suppress(Exception):
            run.finish(exit_code)
            self._uploading.discard(Path(run.settings.sync_dir))

    def _end(self, deadline: float) -> None:
        for run_id in list(self._asked):
            self._finish(run_id, {}, 255)
        for thread in self._finishing:
            thread.join(max(0.0, deadline - time.monotonic()))
        with _open_sessions_lock:
            last = _open_sessions == 1
        if last:
            # Killed while an upload waits: ended in peace, W&B would note a second end of the run, and with two of them
            # in its record `wandb sync` gives up.
            late = any(thread.is_alive() for thread in self._finishing)
            service.end(self._service if late else None)
        for ending in self._endings:
            if not ending.written(0 if last else 5):
                self._warn_of_gap(ending.run_id)
        self._endings.clear()

    def _warn_of_gap(self, run_id: str) -> None:
        self._warn(
            f"W&B: the record of {run_id} is not whole: is the disk of {self.folder / 'wandb'} full? The run's own "
            "tables have everything"
        )

    def _warn_of_fall(self, error: Exception) -> None:
        then = (
            f"recording offline in {self.folder / 'wandb'}" if self.mode == "offline" else "not recorded from here on"
        )
        self._warn(f"W&B: {_one_line(error)}; {then}")

    def _warn(self, message: str) -> None:
        if self.warning is None:
            self.warning = message
            _log.warning(message)


def _one_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300].rstrip(".")
