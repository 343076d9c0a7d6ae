"""The same classifier in batches of 8 and 32 images."""
