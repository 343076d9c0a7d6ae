"""A detector of rotated handwritten digits, and the recipes that optimise it."""
