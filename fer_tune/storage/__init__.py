"""Where run folders live: a folder that every node sees, or an object store by its URI.

A run in a store has a local copy (`mirror`); commands work on that and `runs` passes changes on in both directions.
`patient` is what Ray Tune writes its checkpoints through. Nothing here needs Ray.
"""
