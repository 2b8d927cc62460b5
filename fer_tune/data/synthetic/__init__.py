"""The embedded dataset: cartoon faces of invented characters, drawn."""
