"""Failures that others published, rebuilt: each is caught by the budget or proof that should."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import RECIPES, SIDE, Project, said

INT8 = """
[[recipe]]
name  = "int8"
from  = "plain"
steps = [{ quantize = "static", op_types_to_quantize = ["Conv"], samples = 8 }]
[recipe.budgets]
map = { drop = 0.05 }
"""

CUDA = """
[[recipe]]
name    = "cuda"
from    = "plain"
runtime = { name = "onnxruntime", provider = "cuda" }
[recipe.budgets]
latency_p50 = { max = "1 s" }
"""


def darken(project: Project) -> None:
    """Calibration images without a single square: what they teach does not hold."""
    from PIL import Image

    random = np.random.default_rng(5)
    for file in (project.suite / "calibration").glob("*.png"):
        pixels = random.integers(0, 40, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file)


def test_int8_that_loses_its_accuracy_is_red(project: Project) -> None:
    """Ranges from images unlike those of the field cut off what matters: map falls by far more
    than ten points. Calibrated on images like them, the same recipe keeps it.
    """
    project.write(RECIPES + INT8)
    project.run("-k", "int8")
    assert project.verdicts() == {"int8-map": "PASS"}
    darken(project)
    result = project.run("-k", "int8")
    assert project.verdicts() == {"int8-map": "FAIL"}
    said(result, "drop 0.05 is broken", "perfgate explain int8")
    found = project.sessions()[-1]["suites"][0]["recipes"]
    before, after = (each["accuracy"]["values"]["map"] for each in found)
    assert before - after > 0.1


@pytest.mark.skipif(
    "CUDAExecutionProvider" in pytest.importorskip("onnxruntime").get_available_providers(),
    reason="there is a CUDA provider here, so nothing falls back",
)
def test_a_provider_that_falls_back_is_an_error(project: Project) -> None:
    """The CPU would keep the budget; it is not what was asked for."""
    project.write(RECIPES + CUDA)
    result = project.run("-k", "cuda")
    assert project.verdicts() == {"cuda-latency_p50": "ERROR"}
    said(result, "CUDAExecutionProvider was asked for, and ONNX Runtime uses CPUExecutionProvider")
