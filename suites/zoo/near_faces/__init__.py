"""A detector of near faces, from a .tflite file."""
