"""A recipe whose runtime gives other numbers than ONNX Runtime ends before it is evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.building import tflite_check
from pytest_perfgate.suite.reading import read
from pytest_perfgate.worker import prepare, protocol

from tests.squares import squares_project

onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
for module, extra in (("onnxruntime", "onnx"), ("openvino", "openvino"), ("cv2", "opencv")):
    pytest.importorskip(module, reason=f"python -m pip install 'pytest-perfgate[{extra}]'")

SUITE = """\
[suite]
task  = "detection"
model = "squares.onnx"
[suite.data]
validation  = { images = "validation", annotations = "validation.json" }
"""
RECIPE = '[[recipe]]\nname = "{0}"\nruntime = "{0}"\n'


def add_tanh(file: Path) -> None:
    """A thousandth of the Tanh of large values is added to the scores."""
    model = onnx.load(file)
    graph = model.graph
    for name, value in (("large", 1000.0), ("small", 0.001)):
        graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [], [value]))
    last = next(node for node in graph.node if node.op_type == "Reshape")
    graph.node.remove(last)
    node = onnx.helper.make_node
    graph.node.extend(
        [
            node("Mul", ["above", "large"], ["far"]),
            node("Tanh", ["far"], ["sign"], name="tanh"),
            node("Mul", ["sign", "small"], ["little"]),
            node("Add", ["score", "little"], ["sum"]),
            node("Reshape", ["sum", "flat"], ["scores"]),
        ]
    )
    onnx.save(model, file)


def test_other_numbers_end_a_recipe_before_it_is_evaluated(
    tmp_path: Path, tiny_suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV's Tanh is NaN; OpenVINO's agrees, and the largest difference is one of its facts, as
    would be what is said of a .tflite file.
    """
    told = "nothing was compared: LiteRT is not installed"
    monkeypatch.setattr(tflite_check, "check_tflite", lambda *_: told)
    squares_project(tiny_suite, tmp_path)
    add_tanh(tmp_path / "squares.onnx")
    names = ("openvino", "opencv")
    (tmp_path / "recipes.toml").write_text(SUITE + "".join(map(RECIPE.format, names)))
    suite = read(tmp_path / "recipes.toml", tmp_path).suite
    assert suite is not None
    last: dict[str, protocol.Message] = {}
    for name in names:
        messages: list[protocol.Message] = []
        images = tmp_path / "images.npz"
        prepare.prepare(
            protocol.PrepareJob(suite, name, tmp_path / "cache", images), messages.append
        )
        last[name] = messages[-1]
    prepared, failed = last["openvino"], last["opencv"]
    assert isinstance(prepared, protocol.Prepared), prepared
    assert prepared.facts["difference_to_onnxruntime"] < 1e-3
    assert prepared.facts["difference_to_litert"] == told
    assert isinstance(failed, protocol.Failed), failed
    assert "opencv computes something else than ONNX Runtime" in failed.problem
    assert "first operator that differs is Tanh 'tanh'" in failed.problem
    assert failed.stage == "evaluate"
