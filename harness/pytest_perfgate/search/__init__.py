"""The search for a recipe's values: trials, the study that keeps them, and what wins."""
