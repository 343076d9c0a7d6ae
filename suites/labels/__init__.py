"""Digits in a scene, named without their places, and recipes that optimise it."""
