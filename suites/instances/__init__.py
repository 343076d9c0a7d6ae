"""A segmenter of single handwritten digits on photographs, and the recipes that optimise it."""
