"""Networks of bytes, channels last, and of several inputs: each runtime takes them or says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.errors import InputError
from pytest_perfgate.inputs import Inputs, joined
from pytest_perfgate.runtimes import InferenceSession, OpenContext

from tests.networks import bytes_graph, save_graph, sized_graph

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")

BYTES = Inputs(
    np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8), layout="NHWC"
)
IMAGES = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)
SIZES = np.array([[20, 40], [30, 10]])
SIZED = Inputs(
    IMAGES, {"sizes": SIZES, "offset": np.array([0.5], np.float32)}, frozenset({"offset"})
)


def opened(name: str, artifact: Artifact, folder: Path) -> InferenceSession:
    """A session of a runtime with its usual options."""
    pytest.importorskip({"opencv": "cv2"}.get(name, name))
    runtime = registry.find(registry.RUNTIMES, name)
    return runtime.open(artifact, runtime.Options(), OpenContext(1, folder))


def convolved(images: Any) -> Any:
    """What both graphs convolve, by numpy: (N, 3, 8, 8) to (N, 2, 4, 4)."""
    kernel = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2)
    blocks = images.reshape(len(images), 3, 4, 2, 4, 2)
    return np.einsum("nciajb,kcab->nkij", blocks, kernel)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_bytes_channels_last_are_taken(name: str, tmp_path: Path) -> None:
    """As they are; floats in their place are refused, which OpenVINO would make zeros of."""
    session = opened(name, Artifact(ONNX, path=bytes_graph(tmp_path / "m.onnx")), tmp_path)
    (y,) = session.run(BYTES)
    np.testing.assert_allclose(
        y, convolved(BYTES.images.transpose(0, 3, 1, 2) / np.float32(255)), atol=1e-5
    )
    with pytest.raises(InputError, match="'pixels' takes uint8; it is given float32"):
        session.run(BYTES.map(lambda pixels: np.float32(pixels / 255)))
    session.close()


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_several_inputs_are_taken_by_name(name: str, tmp_path: Path) -> None:
    """The images go where no other input is; one that is missing, or one too many, is refused."""
    session = opened(name, Artifact(ONNX, path=sized_graph(tmp_path / "m.onnx")), tmp_path)
    wanted = convolved(IMAGES) * (SIZES[:, :1] / SIZES[:, 1:])[..., None, None] + 0.5
    (y,) = session.run(SIZED)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    (rows,) = session.run(SIZED.take([1]))
    np.testing.assert_allclose(rows, wanted[1:], rtol=1e-4, atol=1e-5)
    for others in ({}, {"sizes": SIZES}, {**SIZED.others, "more": SIZES}):
        with pytest.raises(InputError, match=r"takes sizes, image, offset; it is given images"):
            session.run(Inputs(IMAGES, others))
    with pytest.raises(InputError, match="'sizes' takes int64; it is given int32"):
        session.run(Inputs(IMAGES, {**SIZED.others, "sizes": SIZES.astype(np.int32)}))
    assert session.fixed_batch == 0
    session.close()


def test_a_profile_feeds_every_input(tmp_path: Path) -> None:
    """By name, too."""
    for name in ("onnxruntime", "openvino"):
        session = opened(name, Artifact(ONNX, path=sized_graph(tmp_path / "m.onnx")), tmp_path)
        assert session.profile(SIZED, 2)
        session.close()


def test_bound_memory_holds_every_input(tmp_path: Path) -> None:
    """Each is updated at every inference, and the arrays that were given stay as they are."""
    runtime = registry.find(registry.RUNTIMES, "onnxruntime")
    artifact = Artifact(ONNX, path=sized_graph(tmp_path / "m.onnx"))
    plain = opened("onnxruntime", artifact, tmp_path)
    bound = runtime.open(artifact, runtime.Options(io_binding=True), OpenContext(1, tmp_path))
    for inputs in (SIZED, SIZED.take([1]), SIZED.take([1, 0]), SIZED):
        np.testing.assert_array_equal(bound.run(inputs)[0], plain.run(inputs)[0])
    assert SIZED.others["sizes"].tolist() == [[20, 40], [30, 10]]


@pytest.mark.parametrize(
    ("graph", "inputs", "says"),
    [
        (sized_graph, SIZED, "OpenCV takes one input; the network has 2 more: sizes, offset"),
        (bytes_graph, BYTES, "OpenCV takes float32; it is given uint8"),
    ],
)
def test_what_opencv_cannot_take_is_refused(
    graph: Any, inputs: Inputs, says: str, tmp_path: Path
) -> None:
    """In one line, in place of outputs that are garbage."""
    session = opened("opencv", Artifact(ONNX, path=graph(tmp_path / "m.onnx")), tmp_path)
    with pytest.raises(InputError) as caught:
        session.run(inputs)
    assert caught.value.problem == says


def test_floats_of_16_bits_are_converted(tmp_path: Path) -> None:
    """A step may have made the network one of 16 bits."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    path = save_graph(tmp_path / "m.onnx", [("x", "FLOAT16", ["N", 3, 8, 8])], nodes)
    for name in ("onnxruntime", "openvino"):
        session = opened(name, Artifact(ONNX, path=path), tmp_path)
        for images in (IMAGES, IMAGES.astype(np.float16)):
            np.testing.assert_allclose(session.run(Inputs(images))[0], IMAGES, atol=1e-3)
        session.close()


def test_a_torch_module_takes_its_inputs_in_order(tmp_path: Path) -> None:
    """The images, then the others; whole numbers stay whole in a module of 16 bits."""
    torch = pytest.importorskip("torch")

    class Sized(torch.nn.Module):  # type: ignore[misc,name-defined] # torch is not imported above
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(1))

        def forward(self, images: Any, sizes: Any, offset: Any) -> Any:
            assert sizes.dtype == torch.int64
            return images.mean(dim=(1, 2, 3)) * self.gain * sizes[:, 0] + offset

    wanted = IMAGES.mean(axis=(1, 2, 3)) * SIZES[:, 0] + 0.5
    for module in (Sized(), Sized().bfloat16()):
        session = opened("torch", Artifact(TORCH, module=module.eval()), tmp_path)
        np.testing.assert_allclose(session.run(SIZED)[0], wanted, rtol=0.02)
        session.close()


def test_rows_keep_what_belongs_to_them() -> None:
    """Sizes follow their images; constants do not."""
    assert SIZED.repeated(3).others["sizes"].tolist() == [[20, 40], [30, 10], [20, 40]]
    assert SIZED.repeated(3).others["offset"].tolist() == [0.5]
    both = joined([SIZED.take([1]), SIZED])
    assert both.others["sizes"].tolist() == [[30, 10], [20, 40], [30, 10]]
    assert (len(both), both.others["offset"].tolist()) == (3, [0.5])
    shown = SIZED.showing(np.zeros((1, 3, 8, 8), np.float32))
    assert (len(shown), shown.others["sizes"].tolist()) == (1, [[20, 40]])
