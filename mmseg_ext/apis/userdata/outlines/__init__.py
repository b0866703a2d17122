"""Objects described by outlines instead of masks, and the masks made of them."""
