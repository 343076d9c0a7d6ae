"""Settings under a library's own names: what is read back, and what is refused with its reason."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate import registry
from pytest_perfgate.artifact import NCNN, ONNX, TFLITE, Artifact
from pytest_perfgate.errors import RecipeError, RuntimeFault
from pytest_perfgate.runtimes import OpenContext

from tests.squares import squares_model

SMALL = Path(__file__).parents[1] / "steps" / "small.tflite"


def squares(folder: Path) -> Artifact:
    """A small ONNX file."""
    pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
    squares_model(folder / "squares.onnx")
    return Artifact(ONNX, path=folder / "squares.onnx")


def network(folder: Path) -> Artifact:
    """A network of ncnn without weights."""
    (folder / "net.param").write_text(
        "7767517\n2 2\nInput in0 0 1 in0\nReLU relu 1 1 in0 out0\n", encoding="ascii"
    )
    (folder / "net.bin").touch()
    return Artifact(NCNN, path=folder / "net.param")


def lite(folder: Path) -> Artifact:
    """A small .tflite file."""
    shutil.copy(SMALL, folder / "small.tflite")
    return Artifact(TFLITE, path=folder / "small.tflite")


FILES = {"onnxruntime": squares, "openvino": squares, "ncnn": network, "litert": lite}


def runtime(name: str) -> Any:
    """The runtime, when its package is here."""
    found: Any = registry.find(registry.RUNTIMES, name)
    pytest.importorskip(found.requires[0].module, reason=found.requires[0].install)
    return found


def opened(name: str, folder: Path, **options: Any) -> Any:
    """A session of two threads."""
    opener = runtime(name)
    artifact = FILES[name](folder)
    return opener.open(artifact, opener.Options(**options), OpenContext(2, folder))


def test_onnxruntime_has_the_settings_of_a_recipe_and_says_them(tmp_path: Path) -> None:
    """Attributes, enumerations by their names, and entries; what is set for measuring is a default
    that is shown.
    """
    usual = opened("onnxruntime", tmp_path)
    assert usual.facts["session"] == {
        "inter_op_num_threads": 1,
        "session.intra_op.allow_spinning": "0",
    }
    assert usual.facts["graph_optimization"] == "all"
    session = opened(
        "onnxruntime",
        tmp_path,
        session={
            "session.intra_op.allow_spinning": True,
            "session.disable_prepacking": 1,
            "graph_optimization_level": "ORT_ENABLE_BASIC",
            "execution_mode": "ORT_PARALLEL",
            "inter_op_num_threads": 2,
            "enable_mem_reuse": False,
        },
    )
    assert session.facts["graph_optimization"] == "basic"
    assert session.facts["session"] == {
        "enable_mem_reuse": False,
        "execution_mode": "ORT_PARALLEL",
        "graph_optimization_level": "ORT_ENABLE_BASIC",
        "inter_op_num_threads": 2,
        "session.intra_op.allow_spinning": "1",
        "session.disable_prepacking": "1",
    }


def test_openvino_has_the_properties_of_a_recipe_and_says_them(tmp_path: Path) -> None:
    """As it reads them back from the compiled model."""
    assert opened("openvino", tmp_path).facts["properties"] == {
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        "ENABLE_CPU_PINNING": "NO",
        "INFERENCE_NUM_THREADS": "2",
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
    }
    wanted = {
        "NUM_STREAMS": 2,
        "PERFORMANCE_HINT_NUM_REQUESTS": 3,
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    said = opened("openvino", tmp_path, properties=wanted).facts["properties"]
    assert said["NUM_STREAMS"] == "2"
    assert said["PERFORMANCE_HINT_NUM_REQUESTS"] == "3"
    assert said["PERFORMANCE_HINT"] == "THROUGHPUT"


def test_a_property_that_openvino_changes_is_a_fault() -> None:
    """A number that was requested and another one that is read back."""
    from types import SimpleNamespace

    from pytest_perfgate.runtimes.openvino import read_back

    said = {"SUPPORTED_PROPERTIES": ["NUM_STREAMS"], "NUM_STREAMS": 1}
    model = SimpleNamespace(get_property=said.__getitem__)
    assert read_back(model, ["NUM_STREAMS"], {"NUM_STREAMS": 1}) == {"NUM_STREAMS": "1"}
    with pytest.raises(RuntimeFault, match="NUM_STREAMS = 4 was requested, but OpenVINO uses 1"):
        read_back(model, ["NUM_STREAMS"], {"NUM_STREAMS": 4})


def test_ncnn_and_litert_have_the_settings_of_a_recipe(tmp_path: Path) -> None:
    """What ncnn says of them; LiteRT then runs without its delegate."""
    said = opened(
        "ncnn", tmp_path, option={"use_winograd_convolution": False, "openmp_blocktime": 0}
    )
    assert said.facts["option"]["use_winograd_convolution"] is False
    assert said.facts["option"]["openmp_blocktime"] == 0
    assert said.facts["option"]["use_fp16_storage"] is False  # for measuring: ncnn's own is True
    assert opened("litert", tmp_path).facts["delegate"] == "XNNPACK"
    plain = {"experimental_op_resolver_type": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
    without = opened("litert", tmp_path, interpreter=plain)
    assert (without.facts["delegate"], without.facts["interpreter"]) == ("none", plain)


@pytest.mark.parametrize(
    ("name", "key", "settings", "says"),
    [
        ("onnxruntime", "session", {"execution_mod": 1}, "did you mean 'execution_mode'?"),
        ("onnxruntime", "session", {"execution_mode": "PARALLEL"}, "mean 'ORT_PARALLEL'?"),
        ("onnxruntime", "session", {"enable_mem_reuse": "no"}, "a value like True"),
        ("onnxruntime", "session", {"inter_op_num_threads": 3}, "the suite has 2 threads"),
        ("openvino", "properties", {"NUM_STREAM": 2}, "did you mean 'NUM_STREAMS'?"),
        ("openvino", "properties", {"PERFORMANCE_HINT": "FAST"}, "Wrong value FAST"),
        ("ncnn", "option", {"use_winograd": False}, "mean 'use_winograd_convolution'?"),
        ("ncnn", "option", {"lightmode": 2}, "a value like True"),
        ("litert", "interpreter", {"experimental_delegate": "x"}, "ai_edge_litert's Interpreter"),
    ],
)
def test_the_librarys_own_list_says_what_can_be_set(
    tmp_path: Path, name: str, key: str, settings: dict[str, Any], says: str
) -> None:
    """Names and values, with the closest one."""
    with pytest.raises(RuntimeFault) as caught:
        opened(name, tmp_path, **{key: settings})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key", "setting", "says"),
    [
        ("onnxruntime", "session", "intra_op_num_threads", "option of this runtime: threads"),
        ("onnxruntime", "session", "enable_profiling", "slows each inference"),
        ("onnxruntime", "session", "session.intra_op_thread_affinities", "are pinned"),
        ("onnxruntime", "session", "ep.context_enable", "writes a file"),
        ("openvino", "properties", "INFERENCE_PRECISION_HINT", "option of this runtime: precision"),
        ("openvino", "properties", "ENABLE_CPU_PINNING", "are pinned"),
        ("openvino", "properties", "CACHE_DIR", "is no cold one"),
        ("ncnn", "option", "use_vulkan_compute", "measures the CPU"),
        ("litert", "interpreter", "num_threads", "option of this runtime: threads"),
    ],
)
def test_what_would_break_measuring_is_refused_with_its_reason(
    name: str, key: str, setting: str, says: str
) -> None:
    """As the suite is read."""
    with pytest.raises(ValidationError, match=says):
        registry.find(registry.RUNTIMES, name).Options(**{key: {setting: 1}})


def test_a_setting_is_written_in_one_place() -> None:
    """The option of this runtime, or the library's own attribute."""
    options = registry.find(registry.RUNTIMES, "onnxruntime").Options
    with pytest.raises(ValidationError, match="leave one of them out"):
        options(
            graph_optimization="basic", session={"graph_optimization_level": "ORT_ENABLE_BASIC"}
        )


def test_an_entry_that_onnxruntime_has_not_is_refused() -> None:
    """ONNX Runtime itself takes any, without a word: its library has the names."""
    opener = runtime("onnxruntime")
    opener.check(opener.Options(session={"session.intra_op.spin_duration_us": "10"}))
    with pytest.raises(RecipeError) as caught:
        opener.check(opener.Options(session={"session.intra_op.allow_spining": "1"}))
    assert "did you mean 'session.intra_op.allow_spinning'?" in str(caught.value)
