"""Faults that `pytest-perfgate prove` plants: each changes what it says, and nothing else."""
