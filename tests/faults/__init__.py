"""Faults on purpose: damaged files for every reader, and failures at every write and message."""
