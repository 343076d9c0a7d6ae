"""Keypoints of handwritten digits by heat maps, and the recipes that optimise the network."""
