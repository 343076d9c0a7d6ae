"""A detector of lines of text that are turned."""
