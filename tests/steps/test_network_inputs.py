"""Steps on networks of bytes, channels last, and of several inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.steps import BuildContext
from pytest_perfgate.steps.export import Export
from pytest_perfgate.steps.half import Half
from pytest_perfgate.steps.nncf import Nncf
from pytest_perfgate.steps.output_check import largest_difference
from pytest_perfgate.steps.probe_inputs import probes
from pytest_perfgate.steps.quantize import Quantize

from tests.networks import bytes_graph, save_graph, sized_graph
from tests.steps.conftest import context_in

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")


def of_bytes(count: int) -> Inputs:
    """Pixels (count, 8, 8, 3)."""
    random = np.random.default_rng(count)
    return Inputs(random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8), layout="NHWC")


def sized(count: int) -> Inputs:
    """Images, their sizes, and a constant."""
    random = np.random.default_rng(count)
    return Inputs(
        random.random((count, 3, 8, 8), dtype=np.float32),
        {"sizes": random.integers(10, 20, (count, 2)), "offset": np.array([0.5], np.float32)},
        frozenset({"offset"}),
    )


CASES = pytest.mark.parametrize(
    ("graph", "example"), [(bytes_graph, of_bytes), (sized_graph, sized)], ids=["bytes", "sizes"]
)


def context_of(folder: Path, example: Any) -> BuildContext:
    """A suite whose network takes such inputs."""
    return context_in(
        folder,
        example=example,
        inputs=lambda _, limit: (example(seed + 1).take([0]) for seed in range(limit)),
    )


def outputs(artifact: Artifact, inputs: Inputs, folder: Path) -> Any:
    """In ONNX Runtime."""
    session = OnnxRuntime().open(artifact, OnnxRuntime.Options(), OpenContext(1, folder))
    return session.run(inputs)


@CASES
@pytest.mark.parametrize(
    ("step", "options", "most"),
    [
        (Quantize(), {"op_types_to_quantize": ("Conv",), "samples": 4}, 0.1),
        (Quantize(), {"method": "dynamic", "op_types_to_quantize": ("Conv",)}, 0.1),
        (Half(), {"op_block_list": ()}, 0.01),
        (Half(), {"keep_io_types": False, "op_block_list": ()}, 0.01),
    ],
    ids=["static", "dynamic", "half", "half inputs"],
)
def test_a_step_on_a_graph_feeds_every_input(
    graph: Any, example: Any, step: Any, options: Any, most: float, tmp_path: Path
) -> None:
    """It calibrates, compares and proves itself, and the outputs are near those of before."""
    source = Artifact(ONNX, path=graph(tmp_path / "m.onnx"))
    chosen = step.Options(**options)
    applied = step.apply(source, chosen, context_of(tmp_path / "link", example))
    step.prove(applied.effect, chosen)
    one, other = (
        outputs(artifact, example(3), tmp_path) for artifact in (source, applied.artifact)
    )
    assert 0 < largest_difference(one, other) < most


@CASES
def test_nncf_calibrates_with_every_input(graph: Any, example: Any, tmp_path: Path) -> None:
    """By name."""
    for package in ("nncf", "openvino"):
        pytest.importorskip(package, reason="python -m pip install 'pytest-perfgate[nncf]'")
    from pytest_perfgate.runtimes.openvino import OpenVino

    source = Artifact(ONNX, path=graph(tmp_path / "m.onnx"))
    options = Nncf.Options(subset_size=4)
    applied = Nncf().apply(source, options, context_of(tmp_path / "link", example))
    Nncf().prove(applied.effect, options)
    session = OpenVino().open(applied.artifact, OpenVino.Options(), OpenContext(1, tmp_path))
    wanted = outputs(source, example(3), tmp_path)
    assert 0 < largest_difference(wanted, session.run(example(3))) < 0.1


def test_a_graph_of_16_bit_inputs_is_quantized(tmp_path: Path) -> None:
    """Calibrated in the type that it takes."""
    from onnx import TensorProto, helper

    path = save_graph(
        tmp_path / "m.onnx",
        [("x", "FLOAT16", ["N", 3, 8, 8])],
        [
            helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["wide", "w"], ["y"], name="conv"),
        ],
        w=np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2),
    )

    def images(count: int) -> Inputs:
        return Inputs(sized(count).images.astype(np.float16))

    options = Quantize.Options(samples=4)
    applied = Quantize().apply(
        Artifact(ONNX, path=path), options, context_of(tmp_path / "link", images)
    )
    Quantize().prove(applied.effect, options)


@pytest.mark.parametrize("batch", [None, 1])
def test_an_exported_module_has_the_names_of_its_inputs(batch: Any, tmp_path: Path) -> None:
    """Those of `[suite.input.others]`, behind the images; a constant has no batch."""
    torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    pytest.importorskip("onnxscript", reason="python -m pip install 'pytest-perfgate[onnx]'")

    class Sized(torch.nn.Module):  # type: ignore[misc,name-defined] # torch is not imported above
        def forward(self, x: Any, y: Any, z: Any) -> Any:
            return x.mean(dim=(2, 3)) * y[:, :1] + z

    options = Export.Options(batch=batch)
    context = context_of(tmp_path / "link", sized)
    applied = Export().apply(Artifact(TORCH, module=Sized().eval()), options, context)
    Export().prove(applied.effect, options)
    graph = onnx.load(applied.artifact.path).graph
    assert [entry.name for entry in graph.input] == ["images", "sizes", "offset"]
    fixed = [entry.type.tensor_type.shape.dim[0].dim_value for entry in graph.input]
    assert fixed == ([1, 1, 1] if batch else [0, 0, 1])


def test_probes_of_bytes_are_bytes() -> None:
    """Each of one image, its ends those of each channel, and the sizes of an image beside it."""
    shown = probes(of_bytes(2))
    assert {one.images.dtype.name for one in shown.values()} == {"uint8"}
    assert {one.images.shape for one in shown.values()} == {(1, 8, 8, 3)}
    low = shown["the lowest values of the images"].images
    np.testing.assert_array_equal(low[0, 0, 0], of_bytes(2).images.min(axis=(0, 1, 2)))
    large = shown["noise, 10 times the range"].images
    assert large.max() == 255
    beside = probes(sized(2))["zeros"]
    np.testing.assert_array_equal(beside.others["sizes"], sized(2).others["sizes"][:1])
    assert beside.others["offset"].tolist() == [0.5]
