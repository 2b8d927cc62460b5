"""The studies of a search: one for each backbone, in a journal that only the driver writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection

from fer_tune.objectives import ACCURACY, Aim, Objective


def open_studies(
    file: Path,
    backbones: Iterable[str],
    seed: int,
    *,
    second: Mapping[str, Objective | None] | None = None,
    aim: Aim = ACCURACY,
) -> dict[str, optuna.Study]:
    """Open the study of every backbone in the journal ``file``, making those that are not there.

    Args:
        file: the journal.
        backbones: names of the studies.
        seed: of the sampler that a study has until another is set.
        second: backbone -> what its study minimises beside the first objective; read for new studies only.
        aim: the first objective; read for new studies only.
    """
    # Optuna's own choice of a lock makes a symbolic link, which exFAT, SMB and Google Drive do not know.
    storage = JournalStorage(JournalFileBackend(str(file), JournalFileOpenLock(str(file))))
    studies = {}
    for backbone in backbones:
        directions = [StudyDirection.MAXIMIZE if aim.maximise else StudyDirection.MINIMIZE]
        if second and second.get(backbone):
            directions.append(StudyDirection.MINIMIZE)
        studies[backbone] = optuna.create_study(
            study_name=backbone,
            storage=storage,
            directions=directions,
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(seed=seed),
        )
    return studies
