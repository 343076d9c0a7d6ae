"""A segmenter of text that this project did not make, on pages with exactly known boxes."""
