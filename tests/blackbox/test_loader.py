"""`workload = "loader"`: recipes that are measured by how long the model waits for its images."""

from __future__ import annotations

import pytest

from tests import squares
from tests.conftest import DECIDED, Project, said

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

pytestmark = pytest.mark.slow

SLOW = """\
import os
import time

import numpy as np
from pytest_perfgate.tasks.detection import DetectionData


class Images(list):
    def __getitem__(self, index):
        time.sleep(float(os.environ.get("DECODING", "0.01")))
        return super().__getitem__(index)


def validation():
    random = np.random.default_rng(0)
    images = Images(random.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(8))
    coco = {
        "images": [{"id": each, "width": 64, "height": 64} for each in range(8)],
        "annotations": [
            {"id": each + 1, "image_id": each, "category_id": 1, "bbox": [0, 0, 8, 8]}
            for each in range(8)
        ],
        "categories": [{"id": 1, "name": "square"}],
    }
    return DetectionData(images, coco)
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
loader_throughput = { min = "1 images/s" }

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
"""


@pytest.fixture
def loading(project: Project) -> Project:
    """The tiny project with images that take 10 ms each to decode."""
    (project.root / "slow.py").write_text(SLOW)
    project.write(HEAD + SUITE)
    return project


def test_who_loads_ahead_or_keeps_images_waits_less(loading: Project) -> None:
    """Sleeping decoders need no core: two processes are faster than none; kept images too."""
    loading.run(*DECIDED)
    assert set(loading.verdicts().values()) == {"PASS"}, loading.verdicts()
    (suite,) = loading.sessions()[-1]["suites"]
    found = {
        each["name"]: {one["metric"]: one["value"] for one in suite["summaries"][each["name"]]}
        for each in suite["recipes"]
    }
    assert found["loaded"]["wait_share"] > 0.8
    assert found["kept"]["wait_share"] < found["loaded"]["wait_share"]
    assert found["ahead"]["loader_throughput"] > 1.2 * found["loaded"]["loader_throughput"]
    facts = {each["name"]: each["runtime_facts"] for each in suite["recipes"]}
    assert [facts[name]["loading processes"] for name in ("loaded", "ahead")] == [0, 2]


def test_a_decoder_that_got_slower_is_red(
    loading: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is what it was; its images are not there in time."""
    loading.write(
        HEAD
        + SUITE[: SUITE.index('[[recipe]]\nname = "kept"')].replace('"1 images/s"', '"40 images/s"')
    )
    loading.run(*DECIDED)
    assert loading.verdicts() == {"loaded-loader_throughput": "PASS"}
    monkeypatch.setenv("DECODING", "0.05")
    result = loading.run(*DECIDED)
    assert loading.verdicts() == {"loaded-loader_throughput": "FAIL"}
    said(result, "min 40 images/s is broken")


def test_page_locked_memory_without_a_device_is_an_error(loading: Project) -> None:
    """It says what was asked for and what is missing."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    loading.write(
        HEAD
        + SUITE[: SUITE.index('[[recipe]]\nname = "kept"')].replace(
            "batches = 2", "pin_memory = true"
        )
    )
    result = loading.run()
    assert loading.verdicts() == {"loaded-loader_throughput": "ERROR"}
    said(result, "pin_memory = true is set, but torch finds no CUDA device here")
