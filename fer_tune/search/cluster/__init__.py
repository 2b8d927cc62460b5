"""The Ray that a search runs on: started or joined, what it has, which of its nodes, and whether they see the storage.

Imports nothing else of the search.
"""
