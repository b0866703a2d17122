"""Annotations of objects by outlines instead of masks, and their conversion to masks."""
