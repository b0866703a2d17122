"""HTML pages about runs: one run, several side by side, a whole table."""
