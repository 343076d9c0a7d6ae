"""The data of `segmentation` under the path of earlier suites.

A base that `--perf-base` checks out may still import it from here. It is
`pytest_perfgate.tasks.segmentation.data`.
"""

from pytest_perfgate.tasks.segmentation.data import SegmentationData

__all__ = ["SegmentationData"]
