"""A classifier with the channels last."""
