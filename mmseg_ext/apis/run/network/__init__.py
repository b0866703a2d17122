"""Build the network of a config, count and time it, and compare it with the weights' settings."""
