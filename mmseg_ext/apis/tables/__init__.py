"""A paper's tables: rows, the runs they lack, their values, as text."""
