"""Feature maps to feature maps; none yet, the interest flow is a part of its head."""
