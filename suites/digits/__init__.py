"""A detector of handwritten digits on photographs, optimised in several ways."""
