"""What the tools call: train, test, predict, report and the README cards."""
