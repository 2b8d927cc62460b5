"""What a report says of a run: sentences and rows of tables, each from the figures alone."""
