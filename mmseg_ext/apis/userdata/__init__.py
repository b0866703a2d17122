"""A user's data: the file that describes them, its check, and how it fits into any config."""
