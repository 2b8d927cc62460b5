"""Configurations trained again with several seeds: which, how, and which of them is tested."""
