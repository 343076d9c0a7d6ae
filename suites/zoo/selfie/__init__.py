"""A segmenter of people, from a .tflite file."""
