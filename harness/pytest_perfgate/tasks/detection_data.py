"""The data of `detection` under the path of earlier suites.

A base that `--perf-base` checks out may still import it from here. It is
`pytest_perfgate.tasks.detection.data`.
"""

from pytest_perfgate.tasks.detection.data import DetectionData, Prediction

__all__ = ["DetectionData", "Prediction"]
