"""The report: what a run shows, in words, tables and figures."""
