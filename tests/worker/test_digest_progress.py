"""A worker that reads 50,000 images from a slow disk is heard before it counts as hung."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.suite import reading
from pytest_perfgate.tasks import image_files
from pytest_perfgate.tasks.classification.data import ClassificationData
from pytest_perfgate.tasks.detection.data import DetectionData
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.worker import sparse_progress
from pytest_perfgate.worker.protocol import WorkProgress

SILENCE = 300.0
COUNT = 100
SECONDS = 10.0  # of one image

SUITE = """
[suite]
task = "TASK"
model = "model:build"
data = { validation = "slow_disk:validation" }

[[recipe]]
name = "fp32"
runtime = "torch"
"""


@dataclass
class Clock:
    """Seconds that pass while a file is read, and at no other time."""

    now: float = 0.0

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of progress messages, which every decoded image moves."""
    clock = Clock()

    def decode(_: Path, _alpha: object) -> tuple[Any, list[str]]:
        clock.now += SECONDS
        return np.zeros((8, 8, 3), np.uint8), []

    monkeypatch.setattr(image_files, "decode", decode)
    monkeypatch.setattr(sparse_progress, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def data_of(task: str) -> Any:
    """Images in files that are not there: `decode` stands for the disk."""
    images = ImageFiles([Path(f"{index}.png") for index in range(COUNT)])
    if task == "classification":
        return ClassificationData(images, [0] * COUNT, ["cat", "dog"])
    entries = [{"id": index, "width": 8, "height": 8} for index in range(COUNT)]
    categories = [{"id": 1, "name": "square"}]
    return DetectionData(images, {"images": entries, "annotations": [], "categories": categories})


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_images_are_counted_while_they_are_digested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, task: str
) -> None:
    """Between two messages passes less than the limit on silence; they say how many were read."""
    module = ModuleType("slow_disk")
    module.__dict__["validation"] = lambda: data_of(task)
    monkeypatch.setitem(sys.modules, "slow_disk", module)
    file = tmp_path / "recipes.toml"
    file.write_text(SUITE.replace("TASK", task))
    suite = reading.read(file, tmp_path).suite
    assert suite is not None
    heard: list[tuple[float, Any]] = []
    progress = sparse_progress.SparseProgress(lambda message: heard.append((clock.now, message)))
    assert len(SuiteData(suite, progress).split("validation").digests) == COUNT
    assert clock.now > 2 * SILENCE
    times = [0.0, *(when for when, _ in heard), clock.now]
    assert max(later - earlier for earlier, later in pairwise(times)) < SILENCE
    assert heard[-1][1] == WorkProgress(COUNT, COUNT, "reading validation")


def test_files_of_the_project_are_counted_while_they_are_digested(tmp_path: Path) -> None:
    """All that a build has read, and all that a cached one has."""
    heard: list[tuple[int, int, str]] = []
    watch = Watch(tmp_path, progress=lambda *message: heard.append(message))
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(b"x")
        (tmp_path / f"{index}.png").read_bytes()
    files = watch.files()
    done, total, note = heard[-1]
    assert (done, note) == (total, "digesting the project's files")
    pictures = {name: text for name, text in files.items() if name.endswith(".png")}
    assert total >= len(pictures) == 3
    assert watch.unchanged(pictures)
    assert heard[-1] == (3, 3, "comparing the project's files")
