"""Masks in several files for each image, of an object or of a class each."""
