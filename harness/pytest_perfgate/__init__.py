"""pytest-perfgate: optimization recipes for vision models, held to budgets by pytest."""

__version__ = "0.1.0"
