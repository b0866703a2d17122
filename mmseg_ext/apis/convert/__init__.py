"""Weights of other repositories under our names, every tensor accounted for."""
