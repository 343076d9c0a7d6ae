"""The detector of digits in bad weather: its pictures corrupted."""
