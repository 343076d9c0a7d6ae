"""A recurrent classifier of moving digits, and the recipes that optimise it."""
