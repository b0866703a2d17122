"""Trained models on images: predictions, averages, windows, dense CRF."""
