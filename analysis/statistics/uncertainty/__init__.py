"""How sure a number is: what is sampled, resampled, and how far it may lie from the truth."""
