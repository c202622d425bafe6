"""Weights: the mini models with their cards; how files, the hub and other packages' are read."""
