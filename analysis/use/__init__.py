"""Using what a run has trained: predictions for any images, export to other programs."""
