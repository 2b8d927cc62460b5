"""Search spaces: what a YAML file may say of a backbone, and what is drawn or tried first from it.

Imports nothing else of the search.  Upwards: `parameter` and `document`, `faults` and `given`, `space`, `entries`,
`checker`, `loading` and `changes`, `published`.
"""
