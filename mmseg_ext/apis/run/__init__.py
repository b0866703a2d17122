"""One training or test: its config, its folder, its checkpoints, its facts."""
