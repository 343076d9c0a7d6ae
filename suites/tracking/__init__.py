"""Moving digits: the detector of digits with a tracker behind it, and recipes that optimise it."""
