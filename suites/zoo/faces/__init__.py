"""A detector of faces."""
