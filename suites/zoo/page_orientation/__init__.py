"""A classifier of the orientation of pages."""
