"""Data, in rooms; each may import those below it (a test keeps the order)::

sheet                   pictures of a dataset
preparing | synthetic   from raw datasets | from nothing: drawn faces
batching                from a split to batches on a device
prepared                the prepared dataset: its card, its files, near or behind a URI
labels                  the emotions and their order
"""
