"""What is found in a raw dataset and must not mislead: duplicates, near twins, nonsense classes, what nobody read."""
