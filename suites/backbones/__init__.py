"""Handwritten digits told apart by one head behind the backbones of a family of networks."""
