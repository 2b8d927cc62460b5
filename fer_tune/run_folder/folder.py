"""A run folder as the writer (search) and the reader (analysis) see it: its paths, and typed access.

Its layout is told in :mod:`fer_tune.filing.layout`.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import ValidationError

from fer_tune.errors import UserError
from fer_tune.filing import layout
from fer_tune.filing.files import faults, read_json, replacing
from fer_tune.filing.uris import below
from fer_tune.run_folder.records import (
    FinalPlan,
    RefitPlan,
    SearchSettings,
    TrainedOn,
)

_MOST = 3  # missing fields, and runs in a folder, that are told


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run folder, and typed access to its files.

    Attributes:
        path: the folder on this machine.
        uri: of the run where it lives in an object store and ``path`` is its local copy; else empty.
    """

    path: Path
    uri: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def place(self) -> str:
        """The run as a user names it: its URI, or the path of its folder."""
        return self.uri or str(self.path)

    @property
    def quoted(self) -> str:
        """:attr:`place` as a word of a command line: a name with spaces stands in quotes."""
        return shlex.quote(self.place)

    def uri_of(self, path: Path) -> str:
        """Return the URI of ``path``, which lies in the folder; an empty string where the run is in no store."""
        return below(self.uri, *path.relative_to(self.path).parts) if self.uri else ""

    @property
    def settings_file(self) -> Path:
        return self.path / layout.SETTINGS

    @property
    def study_file(self) -> Path:
        return self.path / layout.STUDY

    @property
    def tune(self) -> Path:
        return self.path / layout.TUNE

    @property
    def trials_file(self) -> Path:
        return self.path / layout.TRIALS

    @property
    def epochs_file(self) -> Path:
        return self.path / layout.EPOCHS

    @property
    def clock_file(self) -> Path:
        return self.path / layout.CLOCK

    @property
    def wandb(self) -> Path:
        return self.path / "wandb"

    @property
    def sweep_file(self) -> Path:
        return self.path / "sweep.json"

    @property
    def refit_file(self) -> Path:
        return self.path / layout.REFITS / "refit.json"

    @property
    def final_file(self) -> Path:
        return self.path / layout.REFITS / "final.json"

    def refit_seed(self, config_id: str, seed: int, on: TrainedOn = "train") -> Path:
        return self.path / layout.REFITS / layout.seed_folder(config_id, seed, on)

    @property
    def dataset_file(self) -> Path:
        return self.path / "dataset.json"

    @property
    def ledger_file(self) -> Path:
        return self.path / "test" / "ledger.jsonl"

    def opening(self, number: int) -> Path:
        return self.path / "test" / f"opening_{number}"

    def test(self, config_id: str, opening: int) -> Path:
        return self.opening(opening) / config_id

    def corruptions_file(self, config_id: str, opening: int) -> Path:
        return self.test(config_id, opening) / "corruptions.json"

    def transfer_file(self, place: str, reading: int) -> Path:
        """Return where a reading of another dataset's split is kept; ``place`` stands for that split."""
        return self.path / "test" / "on" / place / f"reading_{reading}" / "transfer.json"

    def comparison_file(self, opening: int) -> Path:
        return self.opening(opening) / "comparison.json"

    @property
    def report(self) -> Path:
        return self.path / "report"

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Return the run folder at ``path``.

        Raises:
            UserError: there is none, with what was looked for.
        """
        folder = cls(Path(path).expanduser().resolve())
        if folder.path.is_file():
            raise UserError(f"{path}: a file, and no run folder; name the folder of the run that it is of")
        if not folder.path.is_dir():
            raise UserError(f"{path}: no such run folder; `fer-tune search` makes one under runs/")
        if (folder.path / "folds.json").is_file():
            raise UserError(
                f"{path}: a run over folds; name the run of one of them, such as {folder.path / folder.name}-fold_01"
            )
        if not folder.settings_file.is_file():
            if kept := [name for name in (layout.TRIALS, layout.TUNE) if (folder.path / name).exists()]:
                raise UserError(
                    f"{path}: its {layout.SETTINGS} is missing, which says what the rest is ({', '.join(kept)} is "
                    "there); take it from a backup, or from where the run was copied"
                )
            inside = sorted(file.parent.name for file in folder.path.glob(f"*/{layout.SETTINGS}"))
            cure = f"name one of the runs in it: {', '.join(inside[:_MOST])}{', ...' if len(inside) > _MOST else ''}"
            cure = cure if inside else "name one that `fer-tune search` made"
            raise UserError(f"{path}: not a run folder: no search.yaml in it; {cure}")
        return folder

    def settings(self) -> SearchSettings:
        """Read ``search.yaml``.

        Raises:
            UserError: it is cut off, not valid, or a newer fer-tune wrote it.
        """
        try:
            found = yaml.safe_load(self.settings_file.read_bytes())
            missing = [name for name in SearchSettings.model_fields if isinstance(found, dict) and name not in found]
            if not missing:
                return SearchSettings.model_validate(found)
            told = f"it lacks {', '.join(missing[:_MOST])}{' and more' if len(missing) > _MOST else ''}"
        except ValidationError as error:
            told = faults(error)
        except yaml.YAMLError as error:
            told = " ".join(str(error).split())
        raise UserError(
            f"{self.settings_file}: cut off, or not a search.yaml of this version of fer-tune: {told}; copy it once "
            "more from where the run came from, or take it from a backup"
        )

    def write_settings(self, settings: SearchSettings) -> None:
        text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
        with replacing(self.settings_file) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def check_trials(self) -> None:
        """See that the table of trials was not removed; files of a store may come in any order, and are not looked at.

        Raises:
            UserError: it is not there, and what is written after it is: that of epochs, or weights of a trial.
        """
        later = self.epochs_file.is_file() or any(self.tune.glob(f"*/{layout.BEST}"))
        if not self.uri and later and not self.trials_file.is_file():
            raise self._removed(self.trials_file)

    def check_epochs(self, trained: int) -> None:
        """See that the table of epochs was not removed, as `check_trials` does.

        Args:
            trained: epochs that the trials have had, by the table of trials.

        Raises:
            UserError: it is not there, and trials have had epochs.
        """
        if not self.uri and trained and not self.epochs_file.is_file():
            raise self._removed(self.epochs_file)

    def _removed(self, table: Path) -> UserError:
        cure = f"`fer-tune resume {self.quoted}` writes it anew"
        if not self.tune.is_dir():
            cure = f"take it from a backup, for {self.tune}, which it could be written from, is gone too"
        return UserError(f"{table}: is missing; {cure}")

    def has_refits(self, on: TrainedOn = "train") -> bool:
        """Return whether a refit has ended; the plan that it is of may have been removed.

        Of a run in a store that is not looked at, as `check_trials` does.
        """
        folder = layout.seed_folder("*", 0, on).removesuffix("0")
        return not self.uri and any(self.refit_file.parent.glob(f"{folder}*/{layout.RESULT}"))

    def refit_plan(self) -> RefitPlan:
        """Read ``refit/refit.json``.

        Raises:
            UserError: there is none yet, or it was removed or is damaged.
        """
        if not self.refit_file.is_file():
            if self.has_refits():
                raise UserError(
                    f"{self.refit_file}: is missing, and models are there that were trained by it; give `fer-tune "
                    f"refit {self.quoted}` the same options again: what has ended is kept"
                )
            raise UserError(f"{self.place}: nothing is refitted yet; run `fer-tune refit {self.quoted}` first")
        again = f"remove it and give `fer-tune refit {self.quoted}` the same options again; what has ended is kept"
        return read_json(RefitPlan, self.refit_file, again)

    def final_plan(self) -> FinalPlan | None:
        """Read ``refit/final.json``; None when nothing was trained on train and val together.

        Raises:
            UserError: it was removed or is damaged.
        """
        if not self.final_file.is_file():
            if self.has_refits("train+val"):
                raise UserError(
                    f"{self.final_file}: is missing, and models on train and val are there; run `fer-tune refit "
                    f"{self.quoted} --on train+val` again: what has ended is kept. Or remove the folders train_val"
                )
            return None
        again = f"remove it and run `fer-tune refit {self.quoted} --on train+val` again; what has ended is kept"
        return read_json(FinalPlan, self.final_file, again)
