"""The runtime that infers where no recipe says it: by the kind of the artifact."""

from __future__ import annotations

import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import EXPORTED, ONNX, OPENVINO, TFLITE, TORCH, TORCHSCRIPT
from pytest_perfgate.errors import MissingPackage, RecipeError
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes.choice import runtime_for
from pytest_perfgate.runtimes.http_service import HttpService
from pytest_perfgate.runtimes.kserve import KServe
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime

KINDS = {
    ONNX: "onnxruntime",
    TORCH: "torch",
    EXPORTED: "torch",
    TORCHSCRIPT: "torch",
    OPENVINO: "openvino",
    TFLITE: "litert",
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The import names of packages that are installed: all of them, until one is taken away."""
    names = {"onnxruntime", "openvino", "torch", "ai_edge_litert", "onnx", "cv2"}
    monkeypatch.setattr(Requirement, "missing", property(lambda one: one.module not in names))
    return names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("installed")
def test_a_kind_has_the_runtime_of_its_framework(kind: str) -> None:
    """With options that open it; and not the first by name, which is an endpoint for most kinds."""
    runtime, options = runtime_for(kind)
    assert runtime.name == KINDS[kind]
    assert options == runtime.Options()


def test_without_it_another_that_is_installed_infers(installed: set[str]) -> None:
    """OpenVINO, then OpenCV; and where none is installed, no endpoint takes their place."""
    assert {ONNX} <= HttpService.accepts & KServe.accepts
    for package, after in (("onnxruntime", "openvino"), ("openvino", "opencv")):
        installed.remove(package)
        assert runtime_for(ONNX)[0].name == after
    installed.remove("cv2")
    with pytest.raises(MissingPackage, match="'onnx' is installed") as caught:
        runtime_for(ONNX)
    assert caught.value.next_step.startswith("for onnxruntime: python -m pip install ")
    with pytest.raises(RecipeError, match="no runtime takes an artifact of the kind 'scroll'"):
        runtime_for("scroll")


@pytest.mark.usefixtures("installed")
def test_a_runtime_of_another_package_does_not_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its name."""
    names, find = registry.names, registry.find

    class Other(OnnxRuntime):
        name, accepts = "aaa", frozenset({ONNX, "scroll"})

    monkeypatch.setattr(registry, "names", lambda group: ("aaa", *names(group)))
    monkeypatch.setattr(
        registry, "find", lambda group, name: Other() if name == "aaa" else find(group, name)
    )
    assert runtime_for(ONNX)[0].name == "onnxruntime"
    assert runtime_for("scroll")[0].name == "aaa"
