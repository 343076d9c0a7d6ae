"""The demo suites."""
