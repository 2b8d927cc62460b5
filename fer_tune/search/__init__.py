"""Search: the space of a backbone, what is drawn from it, and the engine that runs the trials."""
