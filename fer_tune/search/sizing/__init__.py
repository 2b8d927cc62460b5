"""What a search would take, for `fer-tune search --dry-run`.

May import every other room of the search.
"""
