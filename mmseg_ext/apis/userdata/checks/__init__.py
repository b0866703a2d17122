"""The check of a user's data: what it looks for, what it found, as text and as a page."""
