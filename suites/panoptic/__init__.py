"""A segmenter of handwritten digits on photographs, and the recipes that optimise it."""
