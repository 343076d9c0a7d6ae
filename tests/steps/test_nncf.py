"""NNCF on OpenVINO: an IR whose 8-bit operators are counted in the file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, OPENVINO, TFLITE, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.openvino import OpenVino
from pytest_perfgate.steps.nncf import Nncf

from tests.steps.conftest import example, infer

needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None,  # importing it takes seconds
    reason="python -m pip install 'pytest-perfgate[nncf]'",
)


def run(artifact: Artifact, folder: Path) -> Any:
    """The first output of an IR in the runtime `openvino`."""
    runtime = OpenVino()
    session = runtime.open(artifact, runtime.Options(), OpenContext(threads=1, folder=folder))
    output = session.run(Inputs(example(3)))[0]
    session.close()
    return output


@needs_nncf
def test_nncf_takes_a_tflite_file(make_context: Any, tmp_path: Path) -> None:
    """In floats and with the channels last; one that is quantized already is an error."""
    step, options = Nncf(), Nncf.Options(subset_size=2)
    images = Inputs(np.random.default_rng(0).random((2, 32, 32, 3), np.float32), layout="NHWC")
    context = make_context(inputs=lambda _split, _most: iter([images.take([0]), images.take([1])]))
    files = Path(__file__).parents[1] / "sources"
    floats = Artifact(TFLITE, path=files / "channels_last.tflite")
    applied = step.apply(floats, options, context)
    step.prove(applied.effect, options)
    assert applied.artifact.kind == OPENVINO
    outputs = []
    for artifact in (floats, applied.artifact):
        session = OpenVino().open(artifact, OpenVino.Options(), OpenContext(1, tmp_path))
        outputs.append(session.run(images.take([0]))[0])
    assert np.abs(outputs[0] - outputs[1]).max() < 0.1 * np.abs(outputs[0]).max()
    with pytest.raises(BuildError, match="quantized already"):
        step.apply(Artifact(TFLITE, path=files / "channels_last_int8.tflite"), options, context)


@needs_nncf
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "mixed", "fast_bias_correction": False},
        {"method": "compress_weights"},
        {"method": "compress_weights", "mode": "int8_sym"},
    ],
)
def test_nncf_gives_a_close_ir_that_openvino_runs(
    options: dict[str, Any], exported: Artifact, make_context: Any, capfd: Any
) -> None:
    """Every operator is 8-bit, nothing is printed, the outputs stay near."""
    step, requested = Nncf(), Nncf.Options(**options)
    is_static = requested.method == "quantize"
    assert step.splits_with(requested) == ({"calibration"} if is_static else set())
    context = make_context() if is_static else make_context(inputs=None)
    if is_static:
        requested = Nncf.Options(**options, subset_size=3)
    applied = step.apply(exported, requested, context)
    step.prove(applied.effect, requested)
    assert capfd.readouterr().out == ""
    assert applied.artifact.kind == OPENVINO
    assert sorted(file.name for file in context.folder.iterdir()) == ["model.bin", "model.xml"]
    assert applied.effect["quantized_ops"] == applied.effect["quantizable_ops"] == 3
    if is_static:
        assert applied.effect["calibration_images"] == 3
    assert exported.path is not None
    got, wanted = run(applied.artifact, context.folder), infer(exported.path, example(3))
    assert 0 < np.abs(got - wanted).max() < 0.2 * np.abs(wanted).max()


@needs_nncf
def test_nncf_takes_an_ir_once(exported: Artifact, make_context: Any, tmp_path: Path) -> None:
    """With weights in 16 bits, as openvino.save_model writes them by itself; quantized operators
    are not quantized again.
    """
    import openvino

    openvino.save_model(openvino.Core().read_model(str(exported.path)), tmp_path / "m.xml")
    step, requested = Nncf(), Nncf.Options(subset_size=3)
    context = make_context()
    applied = step.apply(Artifact(OPENVINO, path=tmp_path / "m.xml"), requested, context)
    step.prove(applied.effect, requested)
    files = (tmp_path / "m.xml", tmp_path / "m.bin")
    assert applied.effect["bytes_before"] == sum(file.stat().st_size for file in files)
    assert exported.path is not None
    got, wanted = run(applied.artifact, context.folder), infer(exported.path, example(3))
    assert 0 < np.abs(got - wanted).max() < 0.2 * np.abs(wanted).max()
    with pytest.raises(BuildError, match="quantized already"):
        step.apply(applied.artifact, requested, make_context("again"))


@needs_nncf
def test_nncf_is_deterministic(exported: Artifact, make_context: Any) -> None:
    """The same graph and images give the same bytes, also a second time in one process."""
    requested = Nncf.Options(subset_size=2)
    one, two = (
        Nncf().apply(exported, requested, make_context(name)).artifact.path
        for name in ("one", "two")
    )
    assert one is not None
    assert two is not None
    for suffix in (".xml", ".bin"):
        assert one.with_suffix(suffix).read_bytes() == two.with_suffix(suffix).read_bytes()


@needs_nncf
def test_ignored_operators_stay_in_float(exported: Artifact, make_context: Any) -> None:
    """By name and by type; an unknown one is an error, and all of them no effect."""
    import openvino

    model = openvino.Core().read_model(str(exported.path))
    first = next(op for op in model.get_ops() if op.get_type_name() == "Convolution")
    requested = Nncf.Options(subset_size=1, ignored_names=(first.get_friendly_name(),))
    effect = Nncf().apply(exported, requested, make_context("a")).effect
    assert effect["quantized_ops"] == effect["quantizable_ops"] - 1
    requested = Nncf.Options(ignored_types=("Convolutoin",))
    with pytest.raises(BuildError, match="the model has no 'Convolutoin'") as caught:
        Nncf().apply(exported, requested, make_context("b"))
    assert "did you mean 'Convolution'?" in caught.value.valid
    requested = Nncf.Options(subset_size=1, ignored_types=("Convolution",))
    applied = Nncf().apply(exported, requested, make_context("c"))
    with pytest.raises(NoEffect, match="none is in 8 bits"):
        Nncf().prove(applied.effect, requested)


@needs_nncf
def test_weights_alone_are_no_quantized_operators(exported: Artifact, make_context: Any) -> None:
    """An IR with float activations does not pass for a quantized one."""
    from pytest_perfgate.steps import nncf

    pytest.importorskip("openvino")
    import openvino

    requested = Nncf.Options(method="compress_weights")
    built = Nncf().apply(exported, requested, make_context()).artifact.path
    operators = [
        op
        for op in openvino.Core().read_model(str(built)).get_ops()
        if op.get_type_name() == "Convolution"
    ]
    assert len(operators) == 3
    assert all(nncf._weights_are(operator) for operator in operators)
    assert not any(nncf._both_are(operator) for operator in operators)


def test_nncf_without_images_is_no_effect() -> None:
    """An IR quantized on no image at all is not believed."""
    effect = {"quantized_ops": 3, "quantizable_ops": 3, "calibration_images": 0}
    with pytest.raises(NoEffect, match="no calibration image"):
        Nncf().prove(effect, Nncf.Options())


def test_nncf_needs_a_file(make_context: Any) -> None:
    """An artifact without a file is refused in words."""
    pytest.importorskip("openvino", reason="python -m pip install 'pytest-perfgate[openvino]'")
    with pytest.raises(BuildError, match="no file to quantize"):
        Nncf().apply(Artifact(ONNX), Nncf.Options(), make_context())


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"method": "compress_weights", "subset_size": 3}, "subset_size"),
        ({"method": "compress_weights", "preset": "mixed"}, "preset"),
        ({"mode": "int8_sym"}, "mode"),
        ({"subset_size": 0}, "subset_size"),
        ({"samples": 3}, "samples"),
    ],
)
def test_options_are_checked_before_any_work(values: dict[str, Any], place: str) -> None:
    """An option of another method is an error, as is one out of range."""
    with pytest.raises(ValidationError) as caught:
        Nncf.Options(**values)
    error = caught.value.errors()[0]
    assert error["loc"] == (place,) or place in error["msg"]
