"""Faults on purpose: what `pytest-perfgate prove` plants in a candidate, and what must stay green.

`catalogue` declares the faults; the other modules plant them in a worker, around a session, a
pipeline or a data set that is whole. Frameworks are imported inside functions only.
"""
