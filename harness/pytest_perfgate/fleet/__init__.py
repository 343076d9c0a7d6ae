"""Builds and evaluations by Ray, on this host or on the nodes of a cluster."""
