"""The runtime `tensorrt`: its own work, with a GPU and a TensorRT that are not there (see
`fake_gpu`), and the real ones where there is a GPU.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TENSORRT, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext, cuda
from pytest_perfgate.runtimes import tensorrt as runtime_module
from pytest_perfgate.runtimes.tensorrt import TensorRt as Runtime
from pytest_perfgate.runtimes.tensorrt_package import EngineNote, package_of

from tests.runtimes import fake_gpu
from tests.runtimes.fake_gpu import Driver, LibCuda, Memory

Make = Any


def batch(count: int, side: int = 8) -> Any:
    """A network input (count, 3, side, side)."""
    return np.random.default_rng(count).random((count, 3, side, side), dtype=np.float32)


@pytest.fixture
def engine(tmp_path: Path) -> Artifact:
    """A file that the imaginary TensorRT reads, and the note beside it."""
    path = tmp_path / "model.engine"
    path.write_bytes(b"an engine")
    EngineNote(package="tensorrt", version="10.16.0", device=None, batch=(1, 1, 4)).write(path)
    return Artifact(TENSORRT, path=path)


@pytest.fixture
def open_session(engine: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Opens a session on the imaginary GPU; everything that it took must be given back."""
    pycuda = ModuleType("pycuda")
    pycuda.driver = Driver  # type: ignore[attr-defined] # that is what is imitated
    monkeypatch.setitem(sys.modules, "pycuda", pycuda)
    library = LibCuda()
    monkeypatch.setattr(cuda, "ctypes", SimpleNamespace(**vars(cuda.ctypes)))
    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda _: library)
    LibCuda.launched = 0
    before = Memory.alive, Driver.open_contexts
    opened = []

    def build(module: Any = None, *, engine: Artifact = engine, **options: Any) -> Any:
        built = module or fake_gpu.tensorrt()
        monkeypatch.setattr(runtime_module, "package", lambda _: built)
        context = OpenContext(threads=1, folder=tmp_path)
        session = Runtime().open(engine, Runtime.Options(**options), context)
        opened.append(session)
        return session

    yield build
    for session in opened:
        session.close()
    assert (Memory.alive, Driver.open_contexts) == before


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("rtx", [False, True])
def test_every_batch_gives_its_own_numbers_in_any_order(
    open_session: Make, cuda_graph: bool, rtx: bool
) -> None:
    """Shapes and addresses follow the batch, whether the engine is called or a graph replayed;
    arrays that were given out are not written to again.
    """
    session = open_session(fake_gpu.tensorrt(rtx=rtx), cuda_graph=cuda_graph)
    given = []
    for count in (1, 1, 4, 1, 4, 4, 2, 3, 1, 4, 2):  # more sizes than are kept, and back
        x = batch(count) + len(given)
        (y,) = session.run(Inputs(x))
        given.append((2 * x, y))
    for expected, result in given:
        np.testing.assert_allclose(result, expected)
    assert session.device_seconds() == pytest.approx(1e-3)
    assert session.facts["device"] == "Imaginary GPU"
    assert session.facts["compute_capability"] == "8.6"
    assert session.facts["batch"] == [1, 1, 4]
    assert session.facts["cuda_graph"] is cuda_graph
    assert session.facts["device_uuid"] == "GPU-28ababab-abab-abab-abab-abababababab"


def test_the_times_of_layers_are_those_of_tensorrts_profiler(open_session: Make) -> None:
    """Per inference, warm-up not counted, in a context of its own; the kind is the inspector's."""
    module = fake_gpu.tensorrt()
    session = open_session(module, cuda_graph=True)
    rows = session.profile(Inputs(batch(2)), 5)
    assert [(row.name, row.kind, row.calls) for row in rows] == [
        ("conv", "CaskConvolution", 1.0),
        ("relu", "layer", 1.0),
    ]
    assert [row.seconds for row in rows] == pytest.approx([0.25e-3, 0.75e-3])
    (y,) = session.run(Inputs(batch(2)))
    np.testing.assert_allclose(y, 2 * batch(2))


def test_the_cache_of_the_device_can_be_flushed_between_inferences(open_session: Make) -> None:
    """Twice its size is written, and what was computed stays right; it is freed at the end."""
    session = open_session(fake_gpu.tensorrt())
    before = Memory.alive
    for count in (1, 2):
        session.flush_cache()
        (y,) = session.run(Inputs(batch(count)))
        np.testing.assert_allclose(y, 2 * batch(count))
    assert len(session._flushed.bytes) == 8 << 20
    assert Memory.alive > before


def test_a_graph_is_captured_at_the_second_inference_of_a_size_and_replayed(
    open_session: Make,
) -> None:
    """The first makes what is made lazily, which cannot be captured. Each size has a context of
    its own, because a graph keeps the shape that it was captured with.
    """
    module = fake_gpu.tensorrt()
    session = open_session(module, cuda_graph=True)
    for _ in range(3):
        session.run(Inputs(batch(1)))
        session.run(Inputs(batch(4)))
    assert LibCuda.launched == 4
    assert module.made[0].contexts == 2


def test_tensorrt_rtx_captures_by_itself_and_keeps_what_it_compiled(
    open_session: Make, tmp_path: Path
) -> None:
    """Its own strategy is set, no graph of ours is made, and the next process finds its kernels."""
    module = fake_gpu.tensorrt(rtx=True)
    session = open_session(module, cuda_graph=True)
    for _ in range(3):
        session.run(Inputs(batch(1)))
    assert LibCuda.launched == 0
    assert module.made[0].settings.cuda_graph_strategy == "whole"
    assert module.made[0].cache.held == b""
    session.close()
    assert (tmp_path / "tensorrt_rtx.cache").read_bytes() == b"compiled"
    again = fake_gpu.tensorrt(rtx=True)
    open_session(again)
    assert again.made[0].cache.held == b"compiled"
    assert again.made[0].settings.cuda_graph_strategy == "none"


def test_compiled_kernels_of_another_device_are_written_anew(
    open_session: Make, tmp_path: Path
) -> None:
    """TensorRT-RTX refuses them; what it compiled instead is kept."""
    kept = tmp_path / "tensorrt_rtx.cache"
    kept.write_bytes(b"of another device")
    open_session(fake_gpu.tensorrt(rtx=True)).close()
    assert kept.read_bytes() == b"compiled"


def test_kernels_are_compiled_before_they_are_measured_unless_asked_otherwise(
    open_session: Make,
) -> None:
    """Eagerly by default; tensorrt, which compiles nothing as it runs, refuses the option."""
    for requested, set_to in (({}, "eager"), ({"kernel_specialization": "LAZY"}, "lazy")):
        module = fake_gpu.tensorrt(rtx=True)
        open_session(module, **requested)
        settings = module.made[0].settings
        assert settings.dynamic_shapes_kernel_specialization_strategy == set_to
    with pytest.raises(RuntimeFault, match="compiles nothing as it runs"):
        open_session(fake_gpu.tensorrt(), kernel_specialization="EAGER")


def test_the_imitation_has_nothing_that_the_real_package_lacks() -> None:
    """Every method that the imitated TensorRT has is one of tensorrt_rtx's own."""
    real = pytest.importorskip(
        "tensorrt_rtx", reason="python -m pip install 'pytest-perfgate[tensorrt_rtx]'"
    )
    own = {"log", "contexts", "settings", "vague", "refuses", "made", "hosts"}
    module = fake_gpu.tensorrt(rtx=True)
    for ours, theirs in (
        (fake_gpu.Engine, real.ICudaEngine),
        (fake_gpu.ExecutionContext, real.IExecutionContext),
        (module.Runtime, real.Runtime),
        (
            module.DynamicShapesKernelSpecializationStrategy,
            real.DynamicShapesKernelSpecializationStrategy,
        ),
        (module.CudaGraphStrategy, real.CudaGraphStrategy),
        (module.TensorIOMode, real.TensorIOMode),
        (module, real),
    ):
        names = {name for name in vars(ours) if not name.startswith("_")} - own
        assert names
        assert names <= set(dir(theirs)), theirs
    settings, cache = real.IRuntimeConfig, real.IRuntimeCache
    for name in ("cuda_graph_strategy", "dynamic_shapes_kernel_specialization_strategy"):
        assert hasattr(settings, name)
    assert {"create_runtime_cache", "set_runtime_cache"} <= set(dir(settings))
    assert {"serialize", "deserialize"} <= set(dir(cache))


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (1, 3, 16, 16)])
def test_an_input_outside_the_profile_is_a_fault(open_session: Make, shape: Any) -> None:
    """It names what the engine takes, and a smaller one runs afterwards."""
    session = open_session()
    with pytest.raises(RuntimeFault, match="does not take an input") as caught:
        session.run(Inputs(np.zeros(shape, np.float32)))
    assert "(1, 3, 8, 8) to (4, 3, 8, 8)" in caught.value.valid
    assert "max_batch" in caught.value.next_step
    np.testing.assert_allclose(session.run(Inputs(batch(2)))[0], 2 * batch(2))


def test_what_tensorrt_refuses_is_a_fault_in_its_own_words(open_session: Make) -> None:
    """A failed inference, and an output whose shape depends on the image."""
    module = fake_gpu.tensorrt()
    session = open_session(module)
    module.made[0].vague = True
    with pytest.raises(RuntimeFault, match="depends on what is in the image"):
        session.run(Inputs(batch(1)))
    module.made[0].vague = False
    module.made[0].refuses = True
    with pytest.raises(RuntimeFault, match="no more today"):
        session.run(Inputs(batch(1)))


def test_an_engine_of_another_version_is_a_fault(open_session: Make, engine: Artifact) -> None:
    """It says who built it, who was to load it, and why not; the device is given back."""
    assert engine.path is not None
    engine.path.write_bytes(b"something else")
    with pytest.raises(RuntimeFault, match="magic tag does not match") as caught:
        open_session(fake_gpu.tensorrt("11.1.0"))
    assert "11.1.0" in caught.value.problem
    assert "10.16.0" in caught.value.problem
    assert caught.value.where == str(engine.path)


def test_an_engine_with_a_damaged_note_is_not_opened(open_session: Make, engine: Artifact) -> None:
    """The note says which package opens it, and whether the code inside it is the step's."""
    assert engine.path is not None
    EngineNote.beside(engine.path).write_text("{}")
    with pytest.raises(RuntimeFault, match="the package that built this engine is unknown"):
        open_session()


def test_an_engine_from_elsewhere_is_opened_without_its_code(
    open_session: Make, engine: Artifact
) -> None:
    """It has no note: its package is told by its first bytes and its batches by itself. Ultralytics
    writes a description before it.
    """
    assert engine.path is not None
    EngineNote.beside(engine.path).unlink()
    described = b'{"task": "detect"}'
    engine.path.write_bytes(len(described).to_bytes(4, "little") + described + b"an engine")
    module = fake_gpu.tensorrt()
    session = open_session(module)
    assert session.facts["batch"] == [1, 1, 4]
    assert session.fixed_batch == 0
    assert not getattr(module.hosts[0], "engine_host_code_allowed", False)
    np.testing.assert_allclose(session.run(Inputs(batch(2)))[0], 2 * batch(2))
    assert package_of(b"vtrt\0\0") == "tensorrt_rtx"
    assert package_of(b"ftrt\0\0") == "tensorrt"


@pytest.mark.parametrize("carries", [False, True])
def test_code_inside_an_engine_runs_only_where_the_step_put_it_there(
    open_session: Make, engine: Artifact, carries: bool
) -> None:
    """A version-compatible engine brings a runtime of its own; others must not."""
    assert engine.path is not None
    note = EngineNote.read(engine.path)
    assert note is not None
    note = note.model_copy(update={"carries_code": carries})
    note.write(engine.path)
    module = fake_gpu.tensorrt()
    open_session(module)
    assert module.hosts[0].engine_host_code_allowed is carries


def test_a_gpu_that_is_not_there_is_a_fault(open_session: Make) -> None:
    """It says which there are."""
    with pytest.raises(RuntimeFault, match="there is no GPU 3: 1 visible, 4 needed") as caught:
        open_session(device=3)
    assert caught.value.valid == "0 to 0"


@pytest.mark.parametrize("values", [{"device": -1}, {"cuda_graph": "sometimes"}, {"graph": True}])
def test_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """No negative device, no other types, no unknown options."""
    with pytest.raises(ValidationError):
        Runtime.Options(**values)


def test_neither_the_runtime_nor_its_preload_imports_anything_of_cuda() -> None:
    """The parent of a launch forks its arms: it must not have opened the driver."""
    code = (
        "import importlib, sys; from pytest_perfgate import registry\n"
        "found = registry.find(registry.RUNTIMES, 'tensorrt')\n"
        "[importlib.import_module(name) for name in found.preload]\n"
        "found.Options(); registry.find(registry.STEPS, 'tensorrt').Options()\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(names & {'pycuda', 'tensorrt', 'tensorrt_rtx', 'pynvml', 'torch'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.gpu
@pytest.mark.skipif(cuda.GPU.missing, reason=f"{cuda.GPU.module}: {cuda.GPU.install}")
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_a_real_engine_gives_the_numbers_of_onnx_runtime(
    name: str, cuda_graph: bool, tmp_path: Path
) -> None:
    """Built, opened and run on the GPU that is here, at several batches, twice each."""
    pytest.importorskip("pycuda", reason="python -m pip install 'pytest-perfgate[gpu]'")
    pytest.importorskip(name, reason="python -m pip install 'pytest-perfgate[gpu]'")
    from pytest_perfgate.artifact import ONNX
    from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
    from pytest_perfgate.steps import BuildContext
    from pytest_perfgate.steps.tensorrt import TensorRt as Step

    from tests.squares import SIDE, squares_model

    squares_model(tmp_path / "squares.onnx")
    source = Artifact(ONNX, path=tmp_path / "squares.onnx")
    (tmp_path / "link").mkdir()
    context: Any = BuildContext(
        folder=tmp_path / "link",
        example=lambda count: Inputs(batch(count, SIDE)),
        inputs=lambda *_: iter(()),
        data=lambda split: split,
        trainer=None,
        seed=0,
        threads=1,
    )
    options = Step.Options(package=name, tf32=False)  # type: ignore[arg-type] # of the two
    applied = Step().apply(source, options, context)
    Step().prove(applied.effect, options)
    assert applied.effect["layers_from"] == "inspector"
    opening = OpenContext(threads=1, folder=tmp_path)
    expected = OnnxRuntime().open(source, OnnxRuntime.Options(), opening)
    session = Runtime().open(applied.artifact, Runtime.Options(cuda_graph=cuda_graph), opening)
    for count in (1, 1, 1, 8, 8, 8, 1):
        x = batch(count, SIDE)
        for ours, theirs in zip(session.run(Inputs(x)), expected.run(Inputs(x)), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
        assert 0 < session.device_seconds() < 1
    session.close()
