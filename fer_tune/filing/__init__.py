"""Files and folders: how they are written, what they are named, and where they are.

It imports `fer_tune.errors` alone.
"""
