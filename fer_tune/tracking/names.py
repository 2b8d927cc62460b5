"""Names that W&B takes: ids of runs, names of artifacts, tags."""

from __future__ import annotations

import hashlib
import re


def run_id(*parts: str) -> str:
    """Join ``parts`` to an id of a run, or a name of an artifact: stable, at most 100 characters, none W&B refuses.

    Parts that have to be altered or cut get a digest, so that two of them never share an id.
    """
    whole = "-".join(parts)
    clean = re.sub(r"[^A-Za-z0-9_.-]", "_", whole)
    if clean == whole and len(whole) <= 100:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{clean[:45]}-{clean[-45:]}-{digest}" if len(clean) > 91 else f"{clean}-{digest}"


def tags(*names: str) -> list[str]:
    """Return the names as W&B takes tags: no empty one, none twice, at most 64 characters each."""
    return list(dict.fromkeys(name[:64] for name in names if name))
