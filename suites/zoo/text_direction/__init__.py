"""A classifier of upright and upside-down lines."""
