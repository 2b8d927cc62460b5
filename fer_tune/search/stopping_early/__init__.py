"""What ends a poor trial before its last epoch.

May import `cluster`; knows nothing of spaces and samplers.
"""
