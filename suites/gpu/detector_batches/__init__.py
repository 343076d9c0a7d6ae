"""The digit detector in batches of 8 and 32 images."""
