"""Configs before anything is built: their keys, their length, their classes, what they need."""
