"""Readers for what no publisher has named: trees, tables, emotions in file names.  May import `tables` and `trees`."""
