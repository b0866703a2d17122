"""README cards: what finished runs leave in a paper's folder, and the sections made of it."""
