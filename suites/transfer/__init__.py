"""A pretrained classifier of text direction, moved from printed lines to handwritten ones."""
