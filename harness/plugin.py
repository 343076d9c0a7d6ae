"""Hooks, thin."""
