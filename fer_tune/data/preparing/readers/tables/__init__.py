"""Tables of images: csv, tsv and Parquet, their columns, pixels and boxes.  May import `trees`."""
