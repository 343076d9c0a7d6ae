"""Multiply-adds, parameters and nodes: what they are by hand, and the same in every runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import EXPORTED, ONNX, TORCH, Artifact
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.metric import MULTIPLY_ADDS, PARAMETERS
from pytest_perfgate.records.counts import Graph, changed_kinds
from pytest_perfgate.registry import RUNTIMES, find
from pytest_perfgate.runtimes import OpenContext

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")

SIDE = 20


class Gram(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore] # torch may be missing
    """Each channel times itself, turned round."""

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) to (N, C, H, H)."""
        return x @ x.transpose(2, 3)


# Outputs x weights of an output's channel, by hand; the images are 3 x 20 x 20.
LAYERS: dict[str, tuple[Callable[[], Any], int, int]] = {
    "convolution": (lambda: torch.nn.Conv2d(3, 8, 3), 18 * 18 * 8 * 3 * 9, 8 * 27 + 8),
    "padded, with a stride": (
        lambda: torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
        10 * 10 * 8 * 3 * 9,
        8 * 27 + 8,
    ),
    "by groups": (lambda: torch.nn.Conv2d(3, 6, 5, groups=3), 16 * 16 * 6 * 25, 6 * 25 + 6),
    # Inputs x weights of an input's channel.
    "transposed": (
        lambda: torch.nn.ConvTranspose2d(3, 4, 2, stride=2, bias=False),
        20 * 20 * 3 * 4 * 4,
        3 * 4 * 4,
    ),
    "transposed, by groups": (
        lambda: torch.nn.ConvTranspose2d(3, 6, 2, groups=3, bias=False),
        20 * 20 * 3 * 2 * 4,
        3 * 2 * 4,
    ),
    "linear": (lambda: torch.nn.Linear(SIDE, 7), 3 * 20 * 7 * 20, 7 * 20 + 7),
    "product": (Gram, 3 * 20 * 20 * 20, 0),
}


def graph(runtime: str, artifact: Artifact, folder: Path, **options: Any) -> Graph:
    """What a session tells after an inference of one image."""
    chosen = find(RUNTIMES, runtime)
    session = chosen.open(
        artifact, chosen.Options.model_validate(options), OpenContext(threads=1, folder=folder)
    )
    inputs = Inputs(np.zeros((1, 3, SIDE, SIDE), np.float32))
    session.run(inputs)
    told: Graph | None = session.graph(inputs)
    session.close()
    assert told is not None
    return told


def exported(module: Any, folder: Path) -> Artifact:
    """The module as an ONNX file."""
    file = folder / "model.onnx"
    torch.onnx.export(
        module.eval(),
        (torch.zeros(1, 3, SIDE, SIDE),),
        file,
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {0: "batch"}},
    )
    return Artifact(ONNX, path=file)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_the_multiply_adds_that_it_has_by_hand(name: str, tmp_path: Path) -> None:
    """In each runtime that tells its graph. A bias adds none, and padding is counted."""
    pytest.importorskip("openvino", reason="python -m pip install 'pytest-perfgate[openvino]'")
    make, adds, parameters = LAYERS[name]
    module = make().eval()
    program = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, SIDE, SIDE),)), program)
    file = exported(module, tmp_path)
    for runtime, artifact in (
        ("torch", Artifact(TORCH, module=module)),
        ("torch", Artifact(EXPORTED, path=program)),
        ("onnxruntime", file),
        ("openvino", file),
    ):
        told = graph(runtime, artifact, tmp_path)
        assert told.multiply_adds == adds, runtime
        assert told.parameters == parameters, runtime
        assert told.nodes, runtime


def bottleneck(inside: int, width: int, out: int, stride: int) -> Any:
    """The branch of a block of ResNet-50, and the way around it."""
    nn = torch.nn

    def norm(*shape: int, **more: Any) -> list[Any]:
        return [nn.Conv2d(*shape, bias=False, **more), nn.BatchNorm2d(shape[1])]

    branch = [*norm(inside, width, 1), *norm(width, width, 3, stride=stride, padding=1)]
    branch += norm(width, out, 1)
    around = norm(inside, out, 1, stride=stride) if inside != out or stride > 1 else []
    return nn.ModuleList([nn.Sequential(*branch), nn.Sequential(*around)])


def test_resnet_50_has_what_is_published() -> None:
    """4.09 billion multiply-adds at 224 pixels and 25,557,032 parameters (torchvision's page of
    `resnet50`; He et al. 2016, "Deep Residual Learning", count 3.8 billion with the stride in the
    first convolution of a block). On torch's device without numbers: nothing is computed.
    """
    from pytest_perfgate.runtimes.torch_graph import graph_of

    nn = torch.nn
    with torch.device("meta"):
        head = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)
        )
        blocks, inside = nn.ModuleList(), 64
        for width, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
            for number in range(count):
                stride = 2 if number == 0 and width > 64 else 1
                blocks.append(bottleneck(inside, width, 4 * width, stride))
                inside = 4 * width
        tail = nn.Linear(inside, 1000)
        image = torch.zeros(1, 3, 224, 224)
    module = nn.ModuleList([head, blocks, tail]).eval()

    def infer() -> None:
        x = head(image)
        for branch, around in blocks:
            x = torch.relu(branch(x) + around(x))
        tail(x.mean((2, 3)))

    told = graph_of(module, infer)
    assert told.parameters == 25_557_032
    assert told.multiply_adds == 4_089_184_256


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_quantization_keeps_the_multiply_adds_and_changes_the_nodes(tmp_path: Path) -> None:
    """The nodes are those that run: ONNX Runtime fuses what the file has beside a convolution."""
    from onnxruntime import quantization

    file = exported(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()), tmp_path)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            self.left = [{"x": np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)}]

        def get_next(self) -> dict[str, Any] | None:
            return self.left.pop() if self.left else None

    int8 = tmp_path / "int8.onnx"
    quantization.quantize_static(file.path, int8, Reader())
    before = graph("onnxruntime", file, tmp_path)
    after = graph("onnxruntime", Artifact(ONNX, path=int8), tmp_path)
    assert after.multiply_adds == before.multiply_adds == 18 * 18 * 8 * 27
    assert before.nodes
    assert after.nodes
    assert sum(before.nodes.values()) <= 3, "the convolution has its ReLU within it"
    assert "QLinearConv +1" in changed_kinds(after.nodes, before.nodes)


def test_an_operator_that_the_count_does_not_know_leaves_none(tmp_path: Path) -> None:
    """A count with a part of the work missing would be a wrong one; its reason names the part."""
    import onnx
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Einsum", ["x", "x"], ["y"], equation="nchw,nchv->nwv")],
            "graph",
            [value("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [value("y", TensorProto.FLOAT, [1, SIDE, SIDE])],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.save(model, tmp_path / "model.onnx")
    told = graph("onnxruntime", Artifact(ONNX, path=tmp_path / "model.onnx"), tmp_path)
    assert told.multiply_adds is None
    assert told.unmeasured == {MULTIPLY_ADDS: "the products of Einsum are not counted"}
    assert told.nodes == {"Einsum": 1}


def counted(module: Any, *inputs: Any) -> Graph:
    """What torch counts of one inference of a module."""
    from pytest_perfgate.runtimes.torch_graph import graph_of

    return graph_of(module, lambda: module(*inputs))


def test_attention_has_the_products_that_it_has_by_hand() -> None:
    """In `eval` too, in which torch runs transformer layers as one operator; the setting for that
    is as before. Projections of 5 images of 8 numbers, then scores and their sums, by 2 heads.
    """
    rows = torch.rand(1, 5, 8)
    attended = 3 * 5 * 8 * 8 + 2 * 5 * 5 * 8 + 5 * 8 * 8
    attention = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    assert counted(attention, rows, rows, rows).multiply_adds == attended
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert counted(layer, rows).multiply_adds == attended + 2 * 5 * 8 * 16
    assert torch.backends.mha.get_fastpath_enabled()


class Product(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore] # torch may be missing
    """Calls a function of two tensors."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any, y: Any) -> Any:
        """What the function gives."""
        return self.function(x, y)


def test_products_without_a_formula_leave_none() -> None:
    """Each is named; operators that only resize, round or compare numbers have none."""
    square, row = torch.rand(32, 32), torch.rand(32)
    codes = torch.ones(32, 32, dtype=torch.int8)
    for function, x, y, name in (
        (torch.mv, square, row, "mv"),
        (torch.dot, row, row, "dot"),
        (torch._int_mm, codes, codes, "_int_mm"),
        (lambda x, y: x.addmm_(y, y), square, square, "addmm_"),
    ):
        told = counted(Product(function), x, y)
        assert told.multiply_adds is None, name
        assert told.unmeasured == {MULTIPLY_ADDS: f"the products of {name} are not counted"}
    told = counted(torch.nn.LSTM(8, 8).eval(), torch.rand(2, 5, 8))
    assert told.multiply_adds is None
    harmless = Product(
        lambda x, _y: torch.lgamma(torch.nn.functional.interpolate(x[None, None], scale_factor=2.0))
    )
    assert counted(harmless, square, row).multiply_adds == 0


def test_operators_of_others_leave_none() -> None:
    """What an operator of an unknown namespace computes, nobody tells."""
    with torch.library._scoped_library("graph_counts", "DEF") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x + x, "CompositeExplicitAutograd")
        told = counted(Product(lambda x, _y: torch.ops.graph_counts.twice(x)), *torch.rand(2, 4))
    assert told.unmeasured == {MULTIPLY_ADDS: "the products of graph_counts.twice are not counted"}


@pytest.mark.filterwarnings("ignore")
def test_packed_weights_are_not_counted_as_none() -> None:
    """Layers that torch quantizes keep their weights where no count sees them."""
    layer = torch.nn.Sequential(torch.nn.Linear(8, 8)).eval()
    small = torch.ao.quantization.quantize_dynamic(layer, {torch.nn.Linear})
    told = counted(small, torch.rand(2, 8))
    assert (told.multiply_adds, told.parameters) == (None, None)
    assert told.unmeasured == {
        MULTIPLY_ADDS: "the products of quantized.linear_dynamic are not counted",
        PARAMETERS: "the packed weights of LinearPackedParams are not counted",
    }


def test_compiled_nodes_are_those_of_the_compiled_graphs() -> None:
    """By the names that torch.fx has for them: functions, methods, and classes of modules."""
    from pytest_perfgate.runtimes.torch_graph import kinds_of

    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
    assert kinds_of(torch.fx.symbolic_trace(module)) == {"Conv2d": 1, "ReLU": 1, "Flatten": 1}
    assert kinds_of(torch.fx.symbolic_trace(Gram())) == {"matmul": 1, "transpose": 1}


def test_many_changed_kinds_are_shortened() -> None:
    """The largest changes stand first; what is left is counted."""
    assert changed_kinds({"Conv": 3, "Relu": 1}, {"Conv": 1, "Relu": 1, "Add": 1}) == (
        "Conv +2, Add -1"
    )
    many = {f"Kind{number}": 1 for number in range(10)}
    assert changed_kinds(many, {}).endswith("Kind7 +1 and 2 more kinds")
    assert changed_kinds(many, many) == ""
