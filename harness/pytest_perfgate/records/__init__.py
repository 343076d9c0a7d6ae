"""Frozen data that crosses between processes or is kept."""
