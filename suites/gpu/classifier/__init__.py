"""A classifier of ResNet-50 size, one image at a time, in every mode of a GPU."""
