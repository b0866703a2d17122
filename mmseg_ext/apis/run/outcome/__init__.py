"""What a test or a prediction writes: results, facts of the run, the list of predictions."""
