"""A run as it lies on disk: opened, and what its files hold; nothing in here changes it, and nothing in here draws."""

from analysis.run.reading import USABLE, ConfigRefit, PublishedTrial, RunRecord, read_run

__all__ = ["USABLE", "ConfigRefit", "PublishedTrial", "RunRecord", "read_run"]
