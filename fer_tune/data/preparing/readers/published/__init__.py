"""Readers of published datasets, as they are distributed and as they are passed on.  May import all beside it."""
