"""Builds a chain of steps into an artifact, once: keys, the cache, the project's code and data."""
