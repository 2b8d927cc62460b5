"""Weights & Biases: one run per trial, refit and test. The only package that imports wandb."""
