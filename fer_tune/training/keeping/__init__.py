"""What a training leaves on disk, to go on from and to judge by."""
