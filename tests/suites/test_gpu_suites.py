"""The recipes for a GPU: every mode is there, and a machine without one says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.runtimes.cuda import GPU
from pytest_perfgate.suite.reading import read

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "suites" / "gpu").glob("*/recipes.toml"))


def _suite(file: Path) -> Suite:
    suite_file = read(file, ROOT)
    assert suite_file.suite is not None, suite_file.suite_problems
    assert not suite_file.problems
    return suite_file.suite


def _options(suite: Suite, runtime: str) -> list[dict[str, object]]:
    return [
        dict(recipe.runtime.options)
        for recipe in suite.recipes.values()
        if recipe.runtime.name == runtime
    ]


@pytest.mark.parametrize("model", ["classifier", "detector"])
def test_every_mode_of_every_runtime_has_a_recipe(model: str) -> None:
    """TF32, autocast, compiled code, graphs, bound memory, engines of three precisions."""
    suite = _suite(ROOT / "suites" / "gpu" / model / "recipes.toml")
    torch, onnx = _options(suite, "torch"), _options(suite, "onnxruntime")
    assert all(options["device"] == "cuda" for options in torch)
    plain = {"tf32": False, "autocast": None, "compile": False, "cuda_graph": False}
    assert any(plain.items() <= options.items() for options in torch)
    for option, value in [
        ("tf32", True),
        ("autocast", "float16"),
        ("autocast", "bfloat16"),
        ("compile", True),
        ("cuda_graph", True),
    ]:
        assert any(options.get(option) == value for options in torch), option
    for provider in ("cuda", "tensorrt"):
        of_it = [options for options in onnx if options["provider"] == provider]
        assert {bool(options.get("cuda_graph")) for options in of_it} == {False, True}
    assert any(options.get("io_binding") is False for options in onnx)
    steps = {
        name: [step.name for step in recipe.chain]
        for name, recipe in suite.recipes.items()
        if recipe.runtime.name == "tensorrt"
    }
    assert ["export", "tensorrt"] in steps.values()
    assert ["export", "half", "tensorrt"] in steps.values()
    assert ["export", "quantize", "tensorrt"] in steps.values()
    assert ["channels_last"] in [
        [step.name for step in recipe.chain] for recipe in suite.recipes.values()
    ]
    for recipe in suite.recipes.values():
        if recipe.runtime.options.get("io_binding") is False:  # which tells no such time
            assert "device_time_p50" not in {budget.metric for budget in recipe.budgets}
    metrics = {budget.metric for recipe in suite.recipes.values() for budget in recipe.budgets}
    assert {"latency_p50", "device_time_p50", "device_memory", "energy", "agreement"} <= metrics


@pytest.mark.parametrize("model", ["classifier_batches", "detector_batches"])
def test_batches_are_of_8_and_32(model: str) -> None:
    """Each size has the same recipes, beside a reference of that size."""
    suite = _suite(ROOT / "suites" / "gpu" / model / "recipes.toml")
    names: dict[object, set[str]] = {}
    for recipe in suite.recipes.values():
        size = recipe.workload.options["size"]
        names.setdefault(size, set()).add(recipe.name.removesuffix(f"_{size}"))
        for step in recipe.chain:
            assert step.name != "tensorrt" or step.options["max_batch"] >= size
    assert names.keys() == {8, 32}
    assert names[8] == names[32]


@pytest.mark.skipif(not GPU.missing, reason="this machine has a GPU")
def test_without_a_gpu_all_is_collected_and_one_line_says_what_is_missing(tmp_path: Path) -> None:
    """Nothing is built and nothing fails; the line has the packages, too, and the next command."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--perf", *map(str, (file.parent for file in SUITES)),
         "-p", "no:cacheprovider", "--perf-history", "off", f"--perf-reports={tmp_path}",
         f"--perf-cache={tmp_path / 'cache'}"],
        capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path), "CI": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("missing: ")]
    assert len(lines) == 1
    assert "an NVIDIA GPU with its driver" in lines[0]
    assert lines[0].endswith("; pytest -rs prints the commands that install them")
    assert "suites/gpu/classifier" in done.stdout


def test_the_classifier_tells_photographs_apart() -> None:
    """Of crops that its head was not fitted to, well above one in ten: a call means something."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("skimage")
    import numpy as np

    from suites.gpu.classifier.data import validation
    from suites.gpu.classifier.model import build

    data = validation()
    chosen = slice(None, None, 5)
    images = torch.from_numpy(np.stack(data.images[chosen])).permute(0, 3, 1, 2).float() / 255
    labels = torch.tensor(data.labels[chosen])
    network = build()
    assert not any(layer.training for layer in network.modules())
    with torch.inference_mode():
        calls = network(torch.nn.functional.avg_pool2d(images, 2)).argmax(1)
    assert float((calls == labels).float().mean()) > 0.4
