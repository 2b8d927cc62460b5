"""The held-out split: opened once, on record, and what is kept of it."""
