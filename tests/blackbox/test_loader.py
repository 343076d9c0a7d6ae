"""`workload = "loader"`: recipes that are measured by how long the model waits for its images."""

from __future__ import annotations

import pytest

from tests import squares
from tests.conftest import DECIDED, Project, said

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

pytestmark = pytest.mark.slow

SLOW = """\
import time

import numpy as np
from pytest_perfgate.tasks.detection import DetectionData


class Images(list):
    seconds = 0.005

    def __getitem__(self, index):
        time.sleep(self.seconds)
        return super().__getitem__(index)


class Slower(Images):
    seconds = 0.025


def validation(kind=Images):
    random = np.random.default_rng(0)
    images = kind(random.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(8))
    coco = {
        "images": [{"id": each, "width": 64, "height": 64} for each in range(8)],
        "annotations": [
            {"id": each + 1, "image_id": each, "category_id": 1, "bbox": [0, 0, 8, 8]}
            for each in range(8)
        ],
        "categories": [{"id": 1, "name": "square"}],
    }
    return DetectionData(images, coco)


def slower():
    return validation(Slower)
"""

HEAD = (
    squares.HEAD.partition("[suite.data]")[0] + '[suite.data]\nvalidation = "slow:validation"\n\n'
)
SUITE = """\
[[recipe]]
name = "loaded"
runtime = "onnxruntime"
workload = { name = "loader", batch_size = 2, batches = 2 }
[recipe.budgets]
loader_throughput = { min = "80 images/s" }

[[recipe]]
name = "kept"
from = "loaded"
workload = { cache = true }
[recipe.budgets]
wait_share = { max = 0.8 }

[[recipe]]
name = "ahead"
from = "loaded"
workload = { num_workers = 2 }
[recipe.budgets]
loader_throughput = { speedup = 1.2 }

[[recipe]]
name = "slower"
from = "loaded"
workload = { data = "slow:slower" }
[recipe.budgets]
loader_throughput = { min = "80 images/s" }

[[recipe]]
name = "pinned"
from = "loaded"
workload = { pin_memory = true }
[recipe.budgets]
loader_throughput = { min = "1 images/s" }
"""


def test_who_waits_less_for_images_who_waits_too_long_and_who_cannot_load(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sleeping decoders need no core: two processes are faster than none; kept images too. A slower
    decoder is red: the model is what it was, and its images are not there in time. Page-locked
    memory without a device is an error that says what was asked for and what is missing.
    """
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (project.root / "slow.py").write_text(SLOW)
    project.write(HEAD + SUITE)
    result = project.run(*DECIDED)
    assert project.verdicts() == {
        "loaded-loader_throughput": "PASS",
        "kept-wait_share": "PASS",
        "ahead-loader_throughput": "PASS",
        "slower-loader_throughput": "FAIL",
        "pinned-loader_throughput": "ERROR",
    }
    said(result, "min 80 images/s is broken")
    said(result, "pin_memory = true is set, but torch finds no CUDA device here")
    (suite,) = project.sessions()[-1]["suites"]
    values = {
        recipe: {summary["metric"]: summary["value"] for summary in summaries}
        for recipe, summaries in suite["summaries"].items()
    }
    assert values["loaded"]["wait_share"] > 0.8
    assert values["kept"]["wait_share"] < values["loaded"]["wait_share"]
    assert values["ahead"]["loader_throughput"] > 1.2 * values["loaded"]["loader_throughput"]
    facts = {recipe["name"]: recipe["runtime_facts"] for recipe in suite["recipes"]}
    assert [facts[name]["loading processes"] for name in ("loaded", "ahead")] == [0, 2]
