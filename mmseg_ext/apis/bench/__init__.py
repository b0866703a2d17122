"""Benchmarks: this package against what it replaces, both timed in one process."""
