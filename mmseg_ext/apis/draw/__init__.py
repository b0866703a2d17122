"""Pictures, curves and the frame of a page, made of plain values."""
