"""Detection of images, masks, splits and classes in a folder of unknown layout."""
