"""The data of `classification` under the path of earlier suites.

A base that `--perf-base` checks out may still import it from here. It is
`pytest_perfgate.tasks.classification.data`.
"""

from pytest_perfgate.tasks.classification.data import Called, ClassificationData

__all__ = ["Called", "ClassificationData"]
