"""Masks of single objects: read from annotations, painted from outputs, kept as runs."""
