"""Suites that were written before each task had a folder of its own."""

from __future__ import annotations

from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("classification", "ClassificationData"),
        ("detection", "DetectionData"),
        ("segmentation", "SegmentationData"),
    ],
)
def test_the_data_of_a_task_is_found_under_its_earlier_path(task: str, name: str) -> None:
    """The base of a comparison is an earlier commit, whose suite imports the earlier path."""
    earlier = import_module(f"pytest_perfgate.tasks.{task}_data")
    today = import_module(f"pytest_perfgate.tasks.{task}.data")
    assert getattr(earlier, name) is getattr(today, name)
