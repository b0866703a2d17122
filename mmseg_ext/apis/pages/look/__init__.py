"""The page about what a model gets to see in training, before anything is trained."""
