"""A segmenter of text lines that this project did not make, on pages with exactly known lines."""
