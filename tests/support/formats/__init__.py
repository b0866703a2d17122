"""Small data sets in the formats of other tools; ``make.py`` says how they were made."""
