"""Reads `recipes.toml` into suites and recipes, or says what is wrong, where, and how to fix it."""
