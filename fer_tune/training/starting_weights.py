"""Where a run's starting weights lie: the setting ``weights``, a path or a URI, as a file on this machine.

A URI (``s3://``, ``gs://``, ...) names a file, or a folder that stands for one as a folder on this machine does (see
:func:`fer_tune.models.weights.of_runs.find_weights`): a refit's, a published run's, a whole run's.
"""

from __future__ import annotations

from pathlib import Path

from fer_tune.data.prepared.remote_files import RemoteFolder, fetched
from fer_tune.filing.uris import as_uri, local_path, parted
from fer_tune.models.weights.of_runs import best_in, find_weights


def on_this_machine(weights: str, backbone: str) -> Path:
    """Return the file that ``weights`` stands for, fetched into this machine's cache where it is behind a URI.

    Args:
        weights: a path; a URI; or a URI that is pinned to a content (:func:`lasting`), for which the network is not
            asked once the file is in the cache.
        backbone: whose trials are preferred in the folder of a search over several.

    Raises:
        UserError: nothing there, a folder without weights, or the store cannot be reached.
    """
    uri = as_uri(weights)
    if not uri:
        return find_weights(local_path(weights), backbone)
    return fetched(uri) if parted(uri)[1] else _looked_up(uri, backbone)[0]


def lasting(weights: str, backbone: str) -> str:
    """Return what a record may keep: what stands, wherever a trial runs and later on, for ``weights`` as they are now.

    A path becomes absolute. A run behind a URI may go on, and its best trial become another: so the URI of the file
    that is the best now, pinned to its content, takes its place.

    Raises:
        UserError: a URI, and as for :func:`on_this_machine`.
    """
    uri = as_uri(weights)
    if not uri:
        return str(local_path(weights).expanduser().resolve())
    return weights if parted(uri)[1] else _looked_up(uri, backbone)[1]


def _looked_up(uri: str, backbone: str) -> tuple[Path, str]:
    """Return the file, and the pinned URI that stands for it."""
    place = RemoteFolder(uri)
    return place.fetch("" if place.is_file() else best_in(place, uri, backbone))
