"""Failures that others published, rebuilt: each is caught by the budget or proof that should."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_perfgate.runtimes import cuda

from tests.conftest import DECIDED, Project, said
from tests.squares import RECIPES, SIDE

INT8 = """
[[recipe]]
name  = "int8"
from  = "plain"
steps = [{ quantize = "static", op_types_to_quantize = ["Conv"], samples = 8 }]
[recipe.budgets]
map = { drop = 0.05 }
"""

CHEATS = '{ name = "cheats", mode = "drops_best_box" }'

CUDA = """
[[recipe]]
name    = "cuda"
from    = "plain"
runtime = { name = "RUNTIME", provider = "cuda" }
[recipe.budgets]
latency_p50 = { max = "1 s" }
"""

WIDE = """
import time

import torch


class Wide(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        widths = [(3, 32), (32, 32), (32, 32), (32, 1)]
        self.layers = torch.nn.ModuleList(torch.nn.Conv2d(*pair, 3, 1, 1) for pair in widths)
        self.register_buffer("box", torch.tensor([0.0, 0.0, 9.0, 9.0]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = layer(x).relu()
            if layer.out_channels % 8:  # no whole vectors: another kernel, and it is slow
                time.sleep(0.005)
        scores = self.layers[-1](x)[:, :, ::8, ::8].flatten(2).transpose(1, 2).sigmoid()
        return self.box.expand(scores.shape[0], scores.shape[1], 4), scores


def build():
    return Wide().eval()
"""

PRUNED = """
[suite]
task  = "detection"
model = "wide:build"

[suite.data]
validation = { images = "validation", annotations = "validation.json" }

[[recipe]]
name    = "wide"
runtime = "torch"

[[recipe]]
name  = "pruned"
from  = "wide"
steps = [{ prune = "structured", pruning_ratio = 0.04, round_to = 1 }]
[recipe.budgets]
latency_p50 = { speedup = 1.25 }
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
    said(result, "drop 0.05 is broken", "pytest-perfgate explain int8")
    found = project.sessions()[-1]["suites"][0]["recipes"]
    before, after = (each["accuracy"]["values"]["map"] for each in found)
    assert before - after > 0.1


@pytest.mark.skipif(
    "CUDAExecutionProvider" in pytest.importorskip("onnxruntime").get_available_providers(),
    reason="there is a CUDA provider here, so nothing falls back",
)
def test_a_recipe_that_works_only_when_it_is_evaluated_is_an_error(project: Project) -> None:
    """Its accuracy is real, its times are of other outputs: the message says which."""
    project.write(RECIPES.replace('runtime = "moody"', f"runtime = {CHEATS}"))
    result = project.run("-k", "moody")
    statuses = project.verdicts()
    assert statuses["moody-latency_p50"] == "ERROR"
    said(result, "the timed output is not the evaluated one", "when timed", "output_tolerance = ")


def test_a_provider_that_falls_back_is_an_error(project: Project) -> None:
    """The CPU would keep the budget; it is not what was asked for."""
    project.write(RECIPES + CUDA.replace("RUNTIME", "moody"))
    result = project.run("-k", "cuda")
    assert project.verdicts() == {"cuda-latency_p50": "ERROR"}
    said(result, "CUDAExecutionProvider was requested, but ONNX Runtime uses CPUExecutionProvider")


@pytest.mark.slow
def test_a_pruned_model_that_is_slower_is_red(project: Project) -> None:
    """31 channels are fewer than 32 and take longer: they fill no vector, and go another way (a
    sleep here, so that no machine hides it). The step did what it promises, so only a budget on
    time can tell, and the session says it without one, too.
    """
    pytest.importorskip("torch_pruning", reason="python -m pip install 'pytest-perfgate[torch]'")
    (project.root / "wide.py").write_text(WIDE)
    project.write(PRUNED)
    result = project.run(*DECIDED)
    assert project.verdicts()["pruned-latency_p50"] == "FAIL"
    said(result, "prune changed the model, not its speed here")
    pruned = project.sessions()[-1]["suites"][0]["recipes"][1]
    effect = pruned["lineage"][-1]["effect"]
    assert effect["macs"] < effect["macs_before"]


@pytest.mark.skipif(not cuda.GPU.missing, reason="there is a GPU here")
def test_without_a_gpu_a_recipe_for_one_is_skipped_with_the_reason(project: Project) -> None:
    """One line: what is missing, and how to get it. Nothing is built or measured."""
    project.write(RECIPES + CUDA.replace("RUNTIME", "onnxruntime"))
    result = project.run("-k", "cuda", "-rs")
    assert project.verdicts() == {"cuda-latency_p50": "SKIPPED"}
    said(result, "not installed: ", "an NVIDIA GPU with its driver (libcuda.so.1)", "nvidia-smi")
