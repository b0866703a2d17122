"""What several tests need: paths, made-up data, a warm interpreter."""
