"""What of a run's refits and test goes to Weights & Biases, by way of `fer_tune.tracking`."""
