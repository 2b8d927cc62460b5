"""The studies of a search: one for each backbone, in a journal that only the driver writes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection

from fer_tune.errors import UserError
from fer_tune.filing.files import replacing
from fer_tune.objectives import ACCURACY, Aim, Objective

_log = logging.getLogger(__name__)


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

    Raises:
        UserError: the journal is damaged before its end.
    """
    mend_end(file)
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


def mend_end(journal: Path) -> None:
    """Take off the last line of a journal where a driver died, or a disk was full, in the middle of writing it.

    Optuna appends to such a line, and can then read the journal no more.  The trial that it told of is drawn anew.

    Args:
        journal: of a search whose driver is this process; it may not exist yet.

    Raises:
        UserError: it is damaged before its end, so that what follows would be lost.
    """
    if not journal.is_file():
        return
    content = journal.read_bytes()
    lines = content.splitlines(keepends=True)
    whole = [_is_entry(line) for line in lines]
    if all(whole) and content.endswith(b"\n"):
        return
    good = whole.index(False) if False in whole else len(lines)
    if any(whole[good:]):
        raise UserError(
            f"{journal}: line {good + 1} is damaged, and others follow; bring back a copy of the run, or start "
            "another search with --warm-start from this one"
        )
    kept = b"".join(lines[:good])
    if left := len(content) - len(kept):
        _log.warning("%s: the last %d bytes were not written whole; they are taken off", journal, left)
    else:
        kept += b"\n"  # the last line is whole but for its end
    with replacing(journal) as temporary:
        temporary.write_bytes(kept)


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
