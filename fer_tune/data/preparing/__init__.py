"""From a raw dataset to a prepared one: read, split, cleaned, summed up."""
