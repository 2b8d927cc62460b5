"""What the trials of a search tell: which settings mattered, what early stopping saved, what accuracy costs."""
