"""What a training leaves on disk, to go on from and to judge by.

It imports no other room.
"""
