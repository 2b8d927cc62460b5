"""A prepared dataset as it lies on disk: written, opened, memory-mapped, fetched from behind a URI."""
