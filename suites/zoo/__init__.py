"""Models of other authors, whose weights are inside published packages."""
