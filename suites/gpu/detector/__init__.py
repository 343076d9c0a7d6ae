"""The digit detector, one image at a time, in every mode of a GPU."""
