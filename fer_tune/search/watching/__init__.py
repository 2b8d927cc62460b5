"""What is written down and shown of a search, while it runs and afterwards.

May import `proposing` and `stopping_early` and what lies below them.
"""
