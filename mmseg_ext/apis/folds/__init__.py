"""Cross validation: one fold as arguments of a run, all folds, and what they say together."""
