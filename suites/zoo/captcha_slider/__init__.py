"""A finder of the gap that a slider fills."""
