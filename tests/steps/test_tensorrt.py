"""The step `tensorrt`: real engines by tensorrt_rtx, which needs no GPU to build them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, TENSORRT, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import tensorrt_package
from pytest_perfgate.runtimes.tensorrt_package import EngineNote
from pytest_perfgate.steps import tensorrt_build
from pytest_perfgate.steps.half import Half
from pytest_perfgate.steps.quantize import Quantize
from pytest_perfgate.steps.tensorrt import TensorRt as Step
from pytest_perfgate.steps.tensorrt_build import precision_of

from tests.steps.conftest import SIDE
from tests.steps.rtx import options

SHAPED = Quantize.Options(
    activations="int8",
    activation_symmetric=True,
    quantize_bias=False,
    op_types_to_quantize=("Conv", "Gemm", "MatMul"),
    samples=4,
)
"""The options of `quantize` that docs/recipes.md gives for TensorRT."""


# -- the demo detector, as the nightly suite would have it -------------------------------------


@pytest.fixture(scope="module")
def detector(exported_detector: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Engines of the demo detector in three precisions, and their steps' effects."""
    pytest.importorskip("skimage", reason="python -m pip install 'pytest-perfgate[demo]'")
    import torch
    from pytest_perfgate.steps import BuildContext

    from suites.digits.data import calibration

    torch.set_num_threads(1)
    images = calibration().images

    def inputs(count: int) -> Any:
        rows = [np.array(images[index]) for index in range(count)]
        return Inputs(np.stack(rows).transpose(0, 3, 1, 2).astype(np.float32) / 255)

    def context(name: str) -> BuildContext:
        return BuildContext(
            folder=tmp_path_factory.mktemp(name),
            example=inputs,
            inputs=lambda _, limit: (inputs(index + 1).take([index]) for index in range(limit)),
            data=lambda split: split,
            trainer=None,
            seed=0,
            threads=1,
        )

    plain = Artifact(ONNX, path=exported_detector)
    files = {
        "fp32": plain,
        "fp16": Half().apply(plain, Half.Options(), context("half")).artifact,
        "int8": Quantize().apply(plain, SHAPED, context("quantize")).artifact,
    }
    return {name: Step().apply(file, options(), context(name)) for name, file in files.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fp32", "fp16", "int8"])
def test_every_convolution_of_the_detector_gets_the_precision_of_its_file(
    detector: dict[str, Any], name: str
) -> None:
    """All 73, read from the layers of the engine; and an engine lies there, with its note."""
    applied = detector[name]
    effect = applied.effect
    Step().prove(effect, options())
    assert effect["weighted_by_precision"] == {name: 73}
    assert effect["int8_share"] == (name == "int8")
    assert effect["fp16_share"] == (name == "fp16")
    assert effect["onnx_int8_ops"] == 73 * (name == "int8")
    assert effect["onnx_fp16_ops"] == 73 * (name == "fp16")
    path = applied.artifact.path
    assert applied.artifact.kind == TENSORRT
    assert effect["bytes"] == path.stat().st_size > 500_000
    note = EngineNote.read(path)
    assert (note.package, note.batch) == ("tensorrt_rtx", (1, 1, 8))
    layers = json.loads((path.parent / "inspector" / "layers.json").read_text())
    convolutions = [layer for layer in layers if layer["weighted"]]
    assert {convolution["precision"] for convolution in convolutions} == {name}
    late = {"runtime_fusion"}  # whose kernel is chosen where the engine runs
    assert all(convolution["tactic"] or convolution["kind"] in late for convolution in convolutions)


@pytest.mark.slow
def test_the_proof_fails_for_an_engine_in_another_precision_than_its_file(
    detector: dict[str, Any],
) -> None:
    """The layers of a real float32 engine do not prove what an 8-bit or 16-bit file asks for."""
    effect = detector["fp32"].effect
    for precision in ("int8", "fp16"):
        requested = {f"onnx_{precision}_ops": 73}
        with pytest.raises(
            NoEffect, match=rf"no layer with weights computes in {precision}.*73 fp"
        ):
            Step().prove({**effect, **requested}, options())
    Step().prove(effect, options())


# -- the proof ---------------------------------------------------------------------------------

GOOD = {
    "layers": 4,
    "weighted_by_precision": {"int8": 3, "fp32": 1},
    "onnx_int8_ops": 3,
    "onnx_fp16_ops": 0,
    "onnx_bf16_ops": 0,
    "sparse_layers": 1,
}


@pytest.mark.parametrize(
    ("change", "asked", "word"),
    [
        ({"layers": 0}, {}, "does not list its layers"),
        ({"weighted_by_precision": {"fp32": 4}}, {}, "computes in int8, but the ONNX file has 3"),
        ({"weighted_by_precision": {}}, {}, "layers with weights: none"),
        ({"onnx_bf16_ops": 1}, {}, "computes in bf16"),
        ({}, {"package": "tensorrt", "fp16": True}, "computes in fp16, but fp16 = true is set"),
        ({"sparse_layers": 0}, {"sparse_weights": True}, "2:4"),
    ],
)
def test_the_proof_fails_on_each_broken_promise(
    change: dict[str, Any], asked: dict[str, Any], word: str
) -> None:
    """Each precision that a file or a flag asks for, sparse kernels, and silence."""
    Step().prove(GOOD, options(sparse_weights=True))
    with pytest.raises(NoEffect, match=word):
        Step().prove({**GOOD, **change}, options(**asked))


def test_sparse_kernels_that_nobody_has_seen_are_not_proven(
    exported: Artifact, make_context: Any
) -> None:
    """tensorrt_rtx chooses its kernels where the engine runs: a real engine cannot show them."""
    requested = options(sparse_weights=True)
    applied = Step().apply(exported, requested, make_context())
    with pytest.raises(NoEffect, match="no layer is known to have a kernel"):
        Step().prove(applied.effect, requested)


# -- what TensorRT refuses ---------------------------------------------------------------------


def test_all_errors_of_the_parser_are_in_the_error(tmp_path: Path, make_context: Any) -> None:
    """Two operators that TensorRT has not: both nodes are named."""
    import onnx
    from onnx import TensorProto, helper

    node, value = helper.make_node, helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            node("StringNormalizer", ["x"], ["y"], name="words"),
            node("Blur", ["x"], ["z"], name="soft", domain="mine"),
        ],
        "two",
        [value("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in "yz"],
    )
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains), tmp_path / "two.onnx")
    with pytest.raises(BuildError) as caught:
        Step().apply(Artifact(ONNX, path=tmp_path / "two.onnx"), options(), make_context())
    for word in ("words", "StringNormalizer", "soft", "Blur"):
        assert word in caught.value.problem
    assert caught.value.where.endswith("two.onnx")


def test_a_graph_for_other_images_is_an_error(exported: Artifact, make_context: Any) -> None:
    """Found before anything is built."""
    larger = make_context(
        example=lambda count: Inputs(np.zeros((count, 3, 2 * SIDE, SIDE), np.float32))
    )
    with pytest.raises(BuildError, match="the images"):
        Step().apply(exported, options(), larger)


def test_a_graph_without_anything_in_it_is_an_error(tmp_path: Path, make_context: Any) -> None:
    """TensorRT's parser takes some files that are no graph without a word."""
    import onnx
    from onnx import helper

    file = tmp_path / "empty.onnx"
    onnx.save(helper.make_model(helper.make_graph([], "empty", [], [])), file)
    with pytest.raises(BuildError, match=r"0 layers|does not read"):
        Step().apply(Artifact(ONNX, path=file), options(), make_context())


def test_a_fixed_batch_is_what_the_engine_runs(exported: Artifact, make_context: Any) -> None:
    """The profile's batches say nothing of it then."""
    import onnx

    model = onnx.load(exported.path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, exported.path)
    applied = Step().apply(exported, options(), make_context())
    assert applied.effect["batch"] == [2, 2, 2]


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"hardware_compatibility_level": "AMPERE_PLUS"}, "unsupported in TensorRT-RTX"),
        ({"version_compatible": True}, "libnvinfer_lean"),
        ({"compute_capabilities": ("SM90",)}, "no ComputeCapability.SM90"),
    ],
)
def test_what_the_package_has_not_is_said_in_its_words(
    exported: Artifact, make_context: Any, asked: dict[str, Any], word: str
) -> None:
    """An option that is ignored, a library that is missing, a GPU that is not known."""
    with pytest.raises(BuildError) as caught:
        Step().apply(exported, options(**asked), make_context())
    assert word in str(caught.value)


def test_options_reach_the_engine(exported: Artifact, make_context: Any) -> None:
    """GPUs to build for, the profile, the lean runtime left out, limits and levels."""
    requested = options(
        compute_capabilities=("SM86", "SM120"),
        min_batch=2,
        opt_batch=4,
        max_batch=16,
        workspace=64,
        builder_optimization_level=1,
        version_compatible=True,
        exclude_lean_runtime=True,
        tf32=False,
        timing_cache=False,
    )
    applied = Step().apply(exported, requested, make_context())
    assert applied.effect["batch"] == [2, 4, 16]
    assert applied.effect["timing_cache"] == "off"
    note = EngineNote.read(applied.artifact.path)
    assert note.batch == (2, 4, 16)
    assert note.carries_code is False


# -- precision flags ---------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["fp16", "bf16", "int8"])
def test_a_flag_that_tensorrt_11_has_not_says_where_precision_comes_from(
    exported: Artifact, make_context: Any, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    """tensorrt_rtx is refused when the recipe is read; of tensorrt, the module is asked when it
    builds (here the real module that has no such flags).
    """
    with pytest.raises(ValidationError, match=f"has no {flag}: precision comes from the ONNX"):
        options(**{flag: True})
    real = tensorrt_package.package("tensorrt_rtx")
    monkeypatch.setattr(tensorrt_package, "package", lambda _: real)
    requested = Step.Options(package="tensorrt", **{flag: True})  # type: ignore[arg-type] # its names
    with pytest.raises(BuildError, match=rf"has no BuilderFlag.{flag.upper()}: precision comes"):
        Step().apply(exported, requested, make_context())


def test_only_a_precision_flag_leaves_types_to_the_builder() -> None:
    """Else the network is strongly typed, in every version that has the word."""
    trt = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1))
    flagged = Step.Options(fp16=True)
    assert tensorrt_build._network_flags(trt, Step.Options()) == 2
    assert tensorrt_build._network_flags(trt, flagged) == 0
    trt = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace())
    assert tensorrt_build._network_flags(trt, Step.Options()) == 0


def test_what_a_file_asks_for_is_read_from_the_graph(exported: Artifact, make_context: Any) -> None:
    """Weights in 8 bits alone ask for no 8-bit layer."""
    assert exported.path is not None
    assert set(precision_of(exported.path).values()) == {0}
    weights = Quantize.Options(method="weight_only")
    only = Quantize().apply(exported, weights, make_context("only")).artifact
    assert precision_of(only.path)["onnx_int8_ops"] == 0
    both = Quantize().apply(exported, SHAPED, make_context("both")).artifact
    assert precision_of(both.path) == {
        "onnx_int8_ops": 3,
        "onnx_fp16_ops": 0,
        "onnx_bf16_ops": 0,
    }


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"min_batch": 4, "opt_batch": 2}, "must be in ascending order"),
        ({"opt_batch": 9}, "must be in ascending order"),
        ({"exclude_lean_runtime": True}, "needs version_compatible"),
        ({"compute_capabilities": ("8.6",)}, "SM86"),
        ({"builder_optimization_level": 6}, "less than or equal to 5"),
        ({"package": "trt"}, "tensorrt_rtx"),
        ({"workspace": 0}, "greater than or equal to 1"),
        ({"precision": "fp16"}, "Extra inputs"),
    ],
)
def test_options_are_checked_before_any_work(values: dict[str, Any], word: str) -> None:
    """What contradicts itself, what is out of range, what is not known."""
    with pytest.raises(ValidationError, match=word):
        Step.Options(**values)


def test_the_package_that_is_asked_for_is_what_must_be_installed() -> None:
    """A recipe for one package is not skipped for want of the other."""
    for package in ("tensorrt", "tensorrt_rtx"):
        requested = Step.Options(package=package)  # type: ignore[arg-type] # one of the two
        modules = {requirement.module for requirement in Step().requires_with(requested)}
        assert modules & {"tensorrt", "tensorrt_rtx"} == {package}
