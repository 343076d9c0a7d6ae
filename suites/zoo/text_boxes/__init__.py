"""A detector of lines of text."""
