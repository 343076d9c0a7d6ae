"""The command `pytest-perfgate`: one file per word that a user types."""
