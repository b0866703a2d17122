"""Volumes in NIfTI files: found, cut into slices, and put on record with their spacing."""
