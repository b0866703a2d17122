"""The network of a config: built, counted, timed, and compared with the weights' own settings."""
