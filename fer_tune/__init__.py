"""Hyperparameter search for facial-emotion recognition (FER), distributed by Ray.

The packages, and the one direction in which they may import each other::

    analysis -> fer_tune.search -> fer_tune.training -> fer_tune.models, fer_tune.data -> fer_tune.config

``training``, ``models`` and ``data`` know nothing of Ray: the training loop can be called from a
notebook.  Only ``training.ray_worker`` wraps it for Ray Train.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fer-tune")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
