"""The one result object of a run: what it found, what can be drawn of it, and what can be done next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.actions.evaluate import evaluate
from analysis.actions.export import export
from analysis.actions.predict import predict
from analysis.actions.refit import refit
from analysis.actions.report import report
from analysis.run import RunRecord, read_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Run(RunRecord):
    """A run: read on demand, drawn by ``plot_...``, and taken on by its doors.

    Each door has the options of the command of its name: ``run.refit(top=3, seeds=5)`` is ``fer-tune refit RUN --top 3
    --seeds 5``.

    >>> run = load_run("runs/first")                                        # doctest: +SKIP
    >>> run.trials.sort_values("val_accuracy").tail()                  # doctest: +SKIP
    >>> run.refit(top=2, seeds=3); run.test(); run.report()                 # doctest: +SKIP

    Attributes:
        reason: why the search ended before its last trial, where this process ran it and it did.
    """

    reason: str = ""

    refit = refit
    test = evaluate
    report = report
    predict = predict
    export = export

    def __repr__(self) -> str:
        """Return a short account for a prompt; all that a dataclass would show is ``settings``."""
        from analysis.summary import plain

        return plain(self)

    def _repr_html_(self) -> str:
        """Return a short account for a notebook's cell."""
        from analysis.summary import html

        return html(self)

    def plot_history(self) -> Figure:
        """Draw every trial in the order of its start, and the best so far."""
        from analysis.figures import curves

        return curves.search_history(self.trials, self.published_names, self.aim)

    def plot_curves(self) -> Figure:
        """Draw the validation accuracy of every trial over its epochs."""
        from analysis.figures import curves

        return curves.trial_curves(self.epochs, self.trials, self.aim)

    def plot_budget(self) -> Figure:
        """Draw the best validation accuracy so far against the epochs spent."""
        from analysis.figures import searched

        return searched.budget(self.trials, self.published_names, self.aim)

    def plot_pareto(self) -> Figure:
        """Draw accuracy against the second objective of the search, and the front; see `plots.pareto`."""
        from analysis.figures import plots

        return plots.pareto(self)

    def plot_importance(self, backbone: str | None = None) -> Figure:
        """Draw which settings mattered; see `plots.importance`."""
        from analysis.figures import plots

        return plots.importance(self, backbone)

    def plot_slices(self, backbone: str | None = None) -> Figure:
        """Draw the accuracy against each searched setting."""
        from analysis.figures import plots

        return plots.slices(self, backbone)

    def plot_contour(self, first: str, second: str, backbone: str | None = None) -> Figure:
        """Draw the accuracy over two searched numbers, smoothed over the trials."""
        from analysis.figures import plots

        return plots.contour(self, first, second, backbone)

    def plot_parallel(self, backbone: str | None = None) -> Figure:
        """Draw every trial as a line over all searched settings."""
        from analysis.figures import plots

        return plots.parallel(self, backbone)

    def plot_learning(self, config_id: str | None = None) -> Figure:
        """Draw loss and accuracy of a refitted configuration's seeds; of the best one by default."""
        from analysis.figures import plots

        return plots.learning(self, config_id)

    def plot_confusion(self, config_id: str | None = None) -> Figure:
        """Draw the confusion matrix of a tested configuration; of the winner by default."""
        from analysis.figures import plots

        return plots.confusion(self, config_id)

    def plot_classes(self, config_id: str | None = None) -> Figure:
        """Draw F1, precision and recall of each class of a tested configuration; of the winner by default."""
        from analysis.figures import plots

        return plots.classes(self, config_id)

    def plot_roc(self, config_id: str | None = None) -> Figure:
        """Draw the ROC curves of a tested configuration; of the winner by default."""
        from analysis.figures import plots

        return plots.roc(self, config_id)

    def plot_reliability(self, config_id: str | None = None) -> Figure:
        """Draw accuracy against confidence of a tested configuration; of the winner by default."""
        from analysis.figures import plots

        return plots.reliability(self, config_id)


def load_run(path: str | Path) -> Run:
    """Open the run at ``path``, a run folder or the URI of one such as ``s3://bucket/runs/name``.

    What has changed behind a URI is brought to this machine first; the weights of models only when they are used.

    Raises:
        UserError: there is no run, its store cannot be reached, or a newer fer-tune wrote it.
    """
    record = read_run(path)
    return Run(record.folder, record.settings)
