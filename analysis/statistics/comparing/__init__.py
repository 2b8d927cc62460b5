"""Models against each other: on the same images, and over several runs."""
