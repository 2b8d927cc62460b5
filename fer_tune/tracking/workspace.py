"""A W&B workspace made by code: a saved view of one search with the panels that its review needs, and a report page."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder, SearchSettings
from fer_tune.tracking import service
from fer_tune.tracking.attached import PageSection, PanelGroup
from fer_tune.tracking.mode import key_problem, quieten

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import Report
    from wandb_workspaces.workspaces import Workspace

_RUNS = 200  # drawn in a panel; W&B's default is 10
_USUAL = ("learning_rate", "batch_size", "augmentation")  # where search.yaml holds no space


@dataclass(frozen=True)
class Saved:
    """Addresses of what was saved in W&B."""

    view: str
    page: str


def save(
    run: RunFolder,
    *,
    entity: str | None = None,
    project: str | None = None,
    sections: Callable[[], list[PageSection]] = list,
) -> Saved:
    """Save a view of the search in W&B and a report page of it, new ones each time, and return their addresses.

    Args:
        run: the run folder; the search may still be running.
        sections: gives what stands on the page, once it is clear that the rest is well.
        entity: the user or team that holds the project; WANDB_ENTITY, else the account's default, by default.
        project: WANDB_PROJECT, else the one that fer-tune records to, by default.

    Raises:
        UserError: the search is not recorded in W&B, the extra `workspace` or a usable key is missing, the server does
            not answer or refuses the key, or there is no such project.
    """
    settings = run.settings()
    if settings.wandb == "disabled":
        raise UserError(f"{run.place}: searched with --wandb disabled, so W&B has nothing to show of it")
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UserError("fer-tune dashboard: needs the extra `workspace`: pip install 'fer-tune[workspace]'")
    if problem := key_problem():
        raise UserError(f"fer-tune dashboard: {problem}; run `wandb login` or set WANDB_API_KEY")
    quieten()
    try:
        where, name = _place(entity, project)
        view, page = workspace(settings, where, name), report(settings, where, name, sections())
        try:
            view.save()  # type: ignore[no-untyped-call]
        except Exception as error:  # W&B raises many kinds
            raise UserError(f"W&B did not take the view: {_first_line(error)}") from None
        try:
            page.save()
        except Exception as error:
            told = f"W&B: view saved: {view.url}; it did not take the report page: {_first_line(error)}"
            raise UserError(told) from None
        return Saved(str(view.url), str(page.url))
    finally:
        service.end()


def _place(entity: str | None, project: str | None) -> tuple[str, str]:
    """Return entity and project, once the server has said that there are such.

    Raises:
        UserError: it does not answer, refuses the key, or has no such project.
    """
    import wandb

    name = project or os.environ.get("WANDB_PROJECT") or service.PROJECT
    try:
        api = wandb.Api()
        where = entity or os.environ.get("WANDB_ENTITY") or api.default_entity
    except Exception as error:  # no answer, a refused key
        raise UserError(f"W&B cannot be asked: {_first_line(error)}") from None
    if not where:
        raise UserError("W&B: this account has no default entity; name a user or a team with --entity")
    try:
        api.project(name, where).id  # noqa: B018  asks the server
    except Exception as error:
        raise UserError(
            f"W&B has no project {where}/{name} that this key may see ({_first_line(error)}); upload the search first "
            "with `fer-tune sync`, or name its place with --entity and --project"
        ) from None
    return where, name


def workspace(settings: SearchSettings, entity: str, project: str) -> Workspace:
    """Return the view, not yet saved: of the runs in the search's group alone, the best first.

    It shows parallel coordinates and importance of the searched settings, the best so far over the trials, accuracy by
    epoch, and each class on the held-out split.
    """
    from wandb_workspaces import expr
    from wandb_workspaces import workspaces as ws

    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"fer-tune: {settings.name}",
        sections=[
            ws.Section(name=_TITLES[group], panels=panels, is_open=group in _OPEN)
            for group, panels in _panels(settings).items()
        ],
        settings=ws.WorkspaceSettings(max_runs=_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=_of_search(settings),
            order=[expr.Ordering(expr.Summary(settings.aim.best), ascending=not settings.aim.maximise)],
            pinned_columns=["run:displayName", f"summary:{settings.aim.best}", "summary:status", "summary:reason"],
        ),
    )


def report(settings: SearchSettings, entity: str, project: str, sections: Sequence[PageSection]) -> Report:
    """Return the report page, not yet saved: the sections with W&B's panels among them, of the search's runs alone.

    Panels that no section asks for follow at the end, but for those of a test that was not made.
    """
    from wandb_workspaces.reports.v2 import interface as wr

    def grid(group: PanelGroup) -> Any:
        runs = wr.Runset(entity=entity, project=project, name=settings.name, filters=_of_search(settings))
        return wr.PanelGrid(runsets=[runs], panels=_panels(settings)[group])

    blocks: list[Any] = [wr.TableOfContents()]
    for section in sections:
        blocks += [wr.H1(text=section.title), wr.MarkdownBlock(text=section.text)]
        blocks += [grid(section.panels)] if section.panels else []
    placed = {section.panels for section in sections}
    for group in ("search", "trials"):
        if group not in placed:
            blocks += [wr.H1(text=_TITLES[group]), grid(group)]
    return wr.Report(
        entity=entity,
        project=project,
        title=f"fer-tune: {settings.name}",
        description=f"{', '.join(settings.backbones)} on {settings.dataset.name}",
        blocks=blocks,
    )


_TITLES: dict[PanelGroup, str] = {
    "search": "Search",
    "trials": "Trials",
    "test": "Held-out test",
    "groups": "From group to group",
    "combinations": "One model or several",
    "corruptions": "Under common corruptions",
    "transfer": "On other datasets",
}
_OPEN = ("search", "trials", "test")  # of a view; not every test has the others


def _panels(settings: SearchSettings) -> dict[PanelGroup, list[Any]]:
    return {
        "search": _search_panels(settings),
        "trials": _trial_panels(settings),
        "test": _test_panels(settings),
        "groups": _tables("groups"),
        "combinations": _tables("combinations"),
        "corruptions": [*_corruption_panels(), *_tables("corruptions")],
        "transfer": [*_transfer_panels(), *_tables("transfer_per_class")],
    }


def _of_search(settings: SearchSettings) -> str:
    return f"Metric('Group') = {settings.name!r}"


def _search_panels(settings: SearchSettings) -> list[Any]:
    from wandb_workspaces.reports.v2 import interface as wr

    searched, aim = _searched(settings), settings.aim
    names = [*(["backbone"] if len(settings.backbones) > 1 else []), *searched]
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(name), log=searched.get(name)) for name in names]
    columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(aim.best)))
    return [
        wr.ParallelCoordinatesPlot(title=f"Settings and {aim.meaning}", columns=columns),
        wr.LinePlot(title="Best so far", x="trials", y=[aim.best, f"trial_{aim.column}"], title_y=aim.meaning),
        wr.LinePlot(title="Epochs spent, and saved by stopping early", x="trials", y=["epochs_spent", "epochs_saved"]),
        wr.ParameterImportancePlot(with_respect_to=aim.best),
        wr.WeavePanelSummaryTable(table_name="importance"),  # fer-tune's own: of random trials, with intervals
        wr.WeavePanelSummaryTable(table_name="leaderboard"),
    ]


def _trial_panels(settings: SearchSettings) -> list[Any]:
    from wandb_workspaces.reports.v2 import interface as wr

    shown = {"val_accuracy": "Validation accuracy", "train_accuracy": "Training accuracy", "val_loss": "Loss"}
    shown = {settings.aim.column: settings.aim.title, **shown}  # what trials are judged by comes first
    return [
        wr.LinePlot(title=f"{title} by epoch", x="epoch", y=[metric], max_runs_to_show=_RUNS)
        for metric, title in shown.items()
    ]


def _test_panels(settings: SearchSettings) -> list[Any]:
    from wandb_workspaces.reports.v2 import interface as wr

    def classes(score: str) -> Any:
        metrics: list[Any] = [wr.SummaryMetric(f"test_{score}/{name}") for name in settings.dataset.classes]
        return wr.BarPlot(title=f"{score} of each class", metrics=metrics)

    return [
        classes("f1"),
        classes("recall"),
        *_tables("per_class", "against", "predictions"),
    ]


def _corruption_panels() -> list[Any]:
    from wandb_workspaces.reports.v2 import interface as wr

    from fer_tune.data.batching.corrupting import CORRUPTIONS  # imports torch

    def bars(title: str, metric: str) -> Any:
        names = [f"corrupted_{metric}/{name}" for name in CORRUPTIONS]
        return wr.BarPlot(title=title, metrics=[wr.SummaryMetric(name) for name in names])

    return [bars("Accuracy under each corruption", "accuracy"), bars("Accuracy lost under each corruption", "loss")]


def _transfer_panels() -> list[Any]:
    from wandb_workspaces.reports.v2 import interface as wr

    names = ("transfer_accuracy", "home_accuracy", "transfer_balanced_accuracy", "home_balanced_accuracy")
    title = "Shared classes: on the other dataset and at home"
    return [wr.BarPlot(title=title, metrics=[wr.SummaryMetric(name) for name in names])]


def _tables(*names: str) -> list[Any]:
    from wandb_workspaces.reports.v2 import interface as wr

    return [wr.WeavePanelSummaryTable(table_name=name) for name in names]


def _searched(settings: SearchSettings) -> dict[str, bool]:
    """Return the searched settings of all backbones, each with whether its axis is logarithmic."""
    found: dict[str, bool] = {}
    for space in settings.spaces.values():
        for name, entry in space.get("search", {}).items():
            found[name] = found.get(name, False) or "log_uniform" in entry
    return found or dict.fromkeys(_USUAL, False)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300].rstrip(".")
