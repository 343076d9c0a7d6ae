"""Builds and evaluations on the nodes of an engine."""
