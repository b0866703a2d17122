"""What a test leaves: its results, how they came about, and the pictures that go with them."""
