"""Recipes for an NVIDIA GPU, on a classifier of ResNet-50 size and on the digit detector."""
