"""What several commands share.

It imports no command.
"""
