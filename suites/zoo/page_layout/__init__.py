"""A detector of the parts of a document."""
