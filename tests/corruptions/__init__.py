"""Corrupted pictures."""
