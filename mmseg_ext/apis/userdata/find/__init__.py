"""What lies in a folder of unknown layout: images, masks, splits, classes."""
