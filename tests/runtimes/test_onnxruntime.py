"""ONNX Runtime on a GPU: options, proof of the provider node by node, bound memory, graphs.

What needs no GPU runs for real on the CPU's provider: bindings are the same for both.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext, cuda, onnxruntime_stream
from pytest_perfgate.runtimes.onnxruntime import (
    OnnxRuntime,
    assignment,
    provider_settings,
    refuse_fallback,
)
from pytest_perfgate.runtimes.onnxruntime_binding import Binding

from tests.squares import SIDE, squares_model

onnxruntime = pytest.importorskip(
    "onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'"
)

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def squares(tmp_path: Path) -> Artifact:
    """A small ONNX detector with two outputs; nine nodes, of which four compute shapes."""
    squares_model(tmp_path / "squares.onnx")
    return Artifact(ONNX, path=tmp_path / "squares.onnx")


def batch(count: int) -> Any:
    """A network input (count, 3, SIDE, SIDE)."""
    return np.random.default_rng(count).random((count, 3, SIDE, SIDE), dtype=np.float32)


def opened(artifact: Artifact, tmp_path: Path, **options: Any) -> Any:
    """A session on one thread."""
    context = OpenContext(threads=1, folder=tmp_path)
    return OnnxRuntime().open(artifact, OnnxRuntime.Options(**options), context)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"provider": "rocm"}, "'cpu', 'cuda' or 'tensorrt'"),
        (
            {"arena_shrinkage": True, "enable_cpu_mem_arena": False},
            "arena_shrinkage needs enable_cpu_mem_arena",
        ),
        (
            {"arena_shrinkage": True, "io_binding": True},
            "arena_shrinkage needs the provider 'cpu' without io_binding",
        ),
        ({"provider_options": {"device_id": 1}}, "'cpu' has no option 'device_id'"),
        ({"provider": "cuda", "provider_options": {"use_tf23": 0}}, "did you mean 'use_tf32'"),
        ({"provider": "cuda", "provider_options": {"trt_fp16_enable": True}}, "has no option"),
        ({"provider": "cuda", "provider_options": {"device_id": [0]}}, "provider_options"),
        (
            {"provider": "cuda", "provider_options": {"enable_cuda_graph": True}},
            "set by cuda_graph = true",
        ),
        (
            {"provider": "tensorrt", "provider_options": {"trt_cuda_graph_enable": True}},
            "set by cuda_graph = true",
        ),
        ({"cuda_graph": True}, "cuda_graph has no effect with the provider 'cpu'"),
        ({"fallback_ops": ["Shape"]}, "fallback_ops has no effect with the provider 'cpu'"),
        ({"provider": "cuda", "cuda_graph": True, "io_binding": False}, "needs io_binding"),
    ],
)
def test_options_are_checked_before_any_work(values: dict[str, Any], word: str) -> None:
    """A provider's options are known by name when the recipe is read."""
    with pytest.raises(ValidationError, match=word):
        OnnxRuntime.Options(**values)


def test_a_provider_gets_its_options_as_texts(tmp_path: Path) -> None:
    """Graphs by the provider's own word; TensorRT's engines are kept where the artifact's are."""
    requested = OnnxRuntime.Options(
        provider="cuda", cuda_graph=True, provider_options={"use_tf32": False, "device_id": 1}
    )
    assert provider_settings(requested, tmp_path) == {
        "use_tf32": "0",
        "device_id": "1",
        "enable_cuda_graph": "1",
    }
    requested = OnnxRuntime.Options(
        provider="tensorrt", provider_options={"trt_timing_cache_enable": False}
    )
    result = provider_settings(requested, tmp_path)
    assert result["trt_engine_cache_enable"] == "1"
    assert result["trt_engine_cache_path"].startswith(str(tmp_path))
    assert result["trt_timing_cache_enable"] == "0"
    assert "trt_cuda_graph_enable" not in result


def test_a_recipe_for_a_gpu_needs_one() -> None:
    """And one for the CPU does not."""
    for provider in ("cuda", "tensorrt"):
        requested = OnnxRuntime.Options(provider=provider)  # type: ignore[arg-type] # one of these
        assert cuda.GPU in OnnxRuntime().requires_with(requested)
    assert cuda.GPU not in OnnxRuntime().requires_with(OnnxRuntime.Options())


# -- the provider that is used, node by node ---------------------------------------------------


def test_the_nodes_of_each_provider_are_read_from_the_session(
    squares: Artifact, tmp_path: Path
) -> None:
    """All of them, by the provider that runs them; the facts have the number."""
    session = opened(squares, tmp_path)
    nodes = assignment(session._session)
    if nodes is None:
        pytest.skip("this version of ONNX Runtime does not tell: use 1.24 or later")
    assert set(nodes) == {CPU}
    assert nodes[CPU]["Conv"] == 1
    assert session.facts["nodes"] == {CPU: sum(nodes[CPU].values())}
    with pytest.raises(RuntimeFault, match="1 Conv") as caught:
        refuse_fallback(nodes, CUDA, (), "squares.onnx")
    assert '"Conv"' in caught.value.next_step


def test_a_node_that_falls_back_is_a_fault_unless_the_recipe_means_it() -> None:
    """Operators are named with their number; those that are allowed stay allowed in the advice."""
    nodes = {
        CUDA: Counter({"Conv": 60, "Shape": 1}),
        CPU: Counter({"Shape": 2, "Gather": 2, "NonMaxSuppression": 1}),
    }
    with pytest.raises(RuntimeFault) as caught:
        refuse_fallback(nodes, CUDA, ("Shape",), "a.onnx")
    assert "of 66 nodes, 3 do not run on CUDA" in caught.value.problem
    assert "2 Gather, 1 NonMaxSuppression" in caught.value.problem
    assert 'fallback_ops = ["Gather", "NonMaxSuppression", "Shape"]' in caught.value.next_step
    refuse_fallback(nodes, CUDA, ("Gather", "NonMaxSuppression", "Shape"), "a.onnx")
    refuse_fallback({CUDA: Counter({"Conv": 60})}, CUDA, (), "a.onnx")


def test_what_an_older_version_does_not_tell_is_not_believed() -> None:
    """It refuses all fallback by itself; what may fall back cannot be told from what may not."""
    assert assignment(SimpleNamespace()) is None
    refuse_fallback(None, CUDA, (), "a.onnx")
    with pytest.raises(RuntimeFault, match="does not list the operators that fell back"):
        refuse_fallback(None, CUDA, ("Shape",), "a.onnx")


def test_onnx_runtime_itself_refuses_what_it_cannot_do(squares: Artifact, tmp_path: Path) -> None:
    """A session option says so to versions that do not tell; here the library is asked directly."""
    if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this build has no provider that runs nothing of this graph")
    requested = onnxruntime.SessionOptions()
    requested.log_severity_level = 4
    requested.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with pytest.raises(Exception, match=r"(?i)fallback"):
        onnxruntime.InferenceSession(
            str(squares.path), requested, providers=["AzureExecutionProvider"], enable_fallback=0
        )
    assert opened(squares, tmp_path).facts["provider"] == CPU


# -- bound memory ------------------------------------------------------------------------------


def test_bound_memory_gives_the_numbers_of_plain_calls(squares: Artifact, tmp_path: Path) -> None:
    """At batches in any order, more than are kept; what was given out is not written to again."""
    plain, bound = opened(squares, tmp_path), opened(squares, tmp_path, io_binding=True)
    assert bound.facts["io_binding"] == "cpu"
    assert "io_binding" not in plain.facts
    given = []
    for count in (1, 4, 1, 2, 3, 5, 6, 1, 4):
        given.append((plain.run(Inputs(batch(count))), bound.run(Inputs(batch(count)))))
    for expected, result in given:
        for one, other in zip(expected, result, strict=True):
            np.testing.assert_array_equal(one, other)
    bound.close()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much memory is in use")
@pytest.mark.parametrize("options", [{"arena_shrinkage": True}, {"enable_cpu_mem_arena": False}])
def test_memory_is_given_back_where_a_recipe_asks_for_it(
    tmp_path: Path, options: dict[str, bool]
) -> None:
    """After a large batch the arena holds on to what the batch needed; these do not."""
    curves, large = wide_model(tmp_path / "curves.onnx"), batch(1000)
    # In a process without memory that earlier tests have freed, which would be taken again.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        kept, back = (
            pool.submit(held, curves, tmp_path, large, **given).result() for given in ({}, options)
        )
    assert kept > large.nbytes / 2
    assert back < kept / 2


def wide_model(path: Path) -> Artifact:
    """A graph whose layers give as much as they take."""
    import onnx
    from onnx import TensorProto, helper

    shape = ["batch", 3, SIDE, SIDE]
    graph = helper.make_graph(
        [
            helper.make_node("Sin", ["x"], ["a"]),
            helper.make_node("Cos", ["a"], ["b"]),
            helper.make_node("ReduceMean", ["b"], ["y"]),
        ],
        "curves",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 1])],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return Artifact(ONNX, path=path)


def held(artifact: Artifact, tmp_path: Path, large: Any, **options: bool) -> int:
    """Bytes that a session has more in use after a large batch than before it."""
    session = opened(artifact, tmp_path, **options)
    session.run(Inputs(batch(1)))
    before = resident()
    session.run(Inputs(large))
    after = resident()
    assert session.facts.items() >= options.items()
    session.close()
    return after - before


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_outputs_of_a_graph_stay_at_one_address_for_each_batch(
    squares: Artifact, tmp_path: Path
) -> None:
    """As a captured graph needs it, with a number of its own for each size. The CPU's provider
    captures nothing, and gives the same numbers.
    """
    plain = opened(squares, tmp_path)
    session = plain._session
    binding = Binding(session, device="cpu", number=0, graph=True)
    name = session.get_inputs()[0].name
    first, again = {}, {}
    for observed in (first, again):
        for count in (1, 2, 5, 6, 7):
            result = binding.run({name: batch(count)})
            for one, other in zip(plain.run(Inputs(batch(count))), result, strict=True):
                np.testing.assert_array_equal(one, other)
            kept = binding._kept[(batch(count).shape,)]
            observed[count] = [output.data_ptr() for output in kept.outputs]
    assert first == again
    numbers = [
        bound.settings.get_run_config_entry("gpu_graph_annotation_id")
        for bound in binding._kept.values()
    ]
    assert numbers == ["1", "2", "3", "4", "5"]


# -- a real GPU --------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(cuda.GPU.missing, reason=f"{cuda.GPU.module}: {cuda.GPU.install}")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_a_gpu_gives_the_numbers_of_the_cpu(
    provider: str, cuda_graph: bool, squares: Artifact, tmp_path: Path
) -> None:
    """At several batches, thrice each, bound and replayed."""
    wanted = {"cuda": CUDA, "tensorrt": "TensorrtExecutionProvider"}[provider]
    if wanted not in onnxruntime.get_available_providers():
        pytest.skip(f"{wanted}: python -m pip install 'pytest-perfgate[gpu]'")
    plain = opened(squares, tmp_path)
    shapes = ("Shape", "Gather", "Concat", "Expand")  # the graph reads its batch from its input
    session = opened(
        squares,
        tmp_path,
        provider=provider,
        cuda_graph=cuda_graph,
        fallback_ops=shapes,
        provider_options={"use_tf32": False} if provider == "cuda" else {},
    )
    assert session.facts["provider"] == wanted
    for count in (1, 1, 1, 4, 4, 4, 1):
        for one, other in zip(
            plain.run(Inputs(batch(count))), session.run(Inputs(batch(count))), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    if not onnxruntime_stream.problem(io_binding=None):
        inputs = Inputs(batch(4))
        start = time.perf_counter()
        session.run(inputs)
        assert 0 < session.device_seconds() < time.perf_counter() - start
        assert session.peak_device_memory() > 0
    session.close()
