"""Search spaces: what a YAML file may say of a backbone, and what is drawn or tried first from it.

Imports nothing else of the search.  Upwards: `parameter` and `document`, `faults`, `space`, `entries`, `checker`,
`loading`, `published`.
"""
