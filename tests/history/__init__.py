"""The history of sessions."""
