"""A text detector that this project did not make, on pages with exactly known boxes."""
