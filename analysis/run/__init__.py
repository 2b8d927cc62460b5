"""A run as it lies on disk: opened, and what its files hold; nothing in here changes it."""

from analysis.run.reading import USABLE, ConfigRefit, PublishedTrial, Run, load_run

__all__ = ["USABLE", "ConfigRefit", "PublishedTrial", "Run", "load_run"]
