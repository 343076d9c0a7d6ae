"""Each runtime opens an artifact, says what it really uses, and works after a fork."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext

from tests.squares import SIDE, squares_model

NEEDS = {
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "opencv": "cv2",
    "aotinductor": "torch",
    "ncnn": "ncnn",
    "litert": "ai_edge_litert",
}


@pytest.fixture
def context(tmp_path: Path) -> OpenContext:
    """One thread."""
    return OpenContext(threads=1, folder=tmp_path)


@pytest.fixture
def squares(tmp_path: Path) -> Artifact:
    """A small ONNX detector with two outputs."""
    pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
    squares_model(tmp_path / "squares.onnx")
    return Artifact(ONNX, path=tmp_path / "squares.onnx")


def runtime(name: str) -> Any:
    """The runtime, when its package is here."""
    pytest.importorskip(NEEDS[name], reason=f"python -m pip install 'pytest-perfgate[{name}]'")
    return registry.find(registry.RUNTIMES, name)


def batch(count: int) -> Any:
    """A network input (count, 3, SIDE, SIDE)."""
    return np.random.default_rng(count).random((count, 3, SIDE, SIDE), dtype=np.float32)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "opencv"])
def test_an_onnx_runtime_runs_every_batch_and_states_facts(
    name: str, squares: Artifact, context: OpenContext
) -> None:
    """Boxes and scores come back as arrays of the batch that was asked."""
    built = runtime(name)
    session = built.open(squares, built.Options(), context)
    for count in (1, 3):
        boxes, scores = session.run(Inputs(batch(count)))
        assert boxes.shape == (count, 49, 4)
        assert scores.shape == (count, 49, 1)
    assert session.facts["threads"] == 1
    assert session.facts["version"]
    session.close()


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "opencv"])
def test_a_fixed_batch_is_known_and_no_other_is_measured(
    name: str, squares: Artifact, context: OpenContext
) -> None:
    """A file for one image at a time, and the one for any batch; NaN is what was not measured."""
    import onnx
    from pytest_perfgate.workloads.images import _Work

    opener = runtime(name)
    assert opener.open(squares, opener.Options(), context).fixed_batch == 0
    model = onnx.load(squares.path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, squares.path)
    session = opener.open(squares, opener.Options(), context)
    assert session.fixed_batch == 1
    work = _Work.__new__(_Work)
    work.session, work._batch_size = session, 8
    assert math.isnan(work.batch())


def test_onnx_runtimes_agree(squares: Artifact, context: OpenContext) -> None:
    """ONNX Runtime and OpenVINO at f32 give the same numbers."""
    result = []
    for name in ("onnxruntime", "openvino"):
        built = runtime(name)
        result.append(built.open(squares, built.Options(), context).run(Inputs(batch(2))))
    for one, other in zip(*result, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_an_openvino_result_is_not_overwritten_by_the_next(
    squares: Artifact, context: OpenContext
) -> None:
    """Arrays that a call returned stay as they were when the session runs again."""
    built = runtime("openvino")
    session = built.open(squares, built.Options(), context)
    _, first = session.run(Inputs(batch(1)))
    before = first.copy()
    session.run(Inputs(1.0 - batch(1)))
    np.testing.assert_array_equal(first, before)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("content", [b"this is no graph", None])
def test_a_file_that_does_not_load_is_named(
    name: str, content: bytes | None, tmp_path: Path, context: OpenContext
) -> None:
    """Broken and missing files give a fault that names the file."""
    built = runtime(name)
    file = tmp_path / "broken.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RuntimeFault) as caught:
        built.open(Artifact(ONNX, path=file), built.Options(), context)
    assert caught.value.where == str(file)


def test_shapes_in_a_file_of_weights_name_how_to_save_the_model(
    squares: Artifact, tmp_path: Path, context: OpenContext
) -> None:
    """`onnx.save` moves them there with a threshold of 0, and ONNX Runtime loads no such file."""
    onnx = pytest.importorskip("onnx")
    file = tmp_path / "all.onnx"
    model = onnx.load(squares.path)
    onnx.save(model, file, save_as_external_data=True, location="weights", size_threshold=0)
    built = runtime("onnxruntime")
    with pytest.raises(RuntimeFault, match="ONNX Runtime does not load the file") as caught:
        built.open(Artifact(ONNX, path=file), built.Options(), context)
    assert "save the model as one file" in caught.value.next_step


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_another_provider_than_asked_for_is_a_fault(
    provider: str, squares: Artifact, context: OpenContext
) -> None:
    """ONNX Runtime falls back to the CPU in silence; this runtime does not."""
    built = runtime("onnxruntime")
    import onnxruntime

    if any(provider in name.lower() for name in onnxruntime.get_available_providers()):
        pytest.skip("the provider is installed here")
    with pytest.raises(RuntimeFault, match="CPUExecutionProvider"):
        built.open(squares, built.Options(provider=provider), context)


def test_a_device_that_is_not_there_is_a_fault(squares: Artifact, context: OpenContext) -> None:
    """OpenVINO has no such device."""
    built = runtime("openvino")
    with pytest.raises(RuntimeFault, match="OpenVINO"):
        built.open(squares, built.Options(device="NPU.77"), context)


@pytest.mark.parametrize("precision", ["f32", "bf16", "f16"])
def test_openvino_uses_the_precision_that_was_asked_for(
    precision: str, squares: Artifact, context: OpenContext
) -> None:
    """A session runs at the precision asked for, or it is a fault."""
    built = runtime("openvino")
    try:
        session = built.open(squares, built.Options(precision=precision), context)
    except RuntimeFault:
        return
    assert session.facts["precision"] == precision


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_torch_keeps_the_modules_layout_and_needs_no_gradient(
    layout: str, context: OpenContext
) -> None:
    """The facts tell the layout, type and threads in use; outputs are plain arrays."""
    built = runtime("torch")
    import torch

    torch.manual_seed(0)
    module = torch.nn.Conv2d(3, 4, 3).eval()
    wanted = module(torch.from_numpy(batch(2))).detach().numpy()
    if layout == "channels_last":
        module = module.to(memory_format=torch.channels_last)
    session = built.open(Artifact(TORCH, module=module), built.Options(), context)
    assert session.facts == {
        "device": "cpu",
        "dtype": "float32",
        "layout": layout,
        "compiled": False,
        "threads": 1,
        "version": torch.__version__,
    }
    (output,) = session.run(Inputs(batch(2)))
    assert isinstance(output, np.ndarray)
    np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)


def test_torch_refuses_outputs_that_are_no_tensors(context: OpenContext) -> None:
    """A model that returns a dictionary is told what is expected."""
    built = runtime("torch")
    import torch

    class Wordy(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return {"x": x}

    session = built.open(Artifact(TORCH, module=Wordy()), built.Options(), context)
    with pytest.raises(RuntimeFault, match="returned dict"):
        session.run(Inputs(batch(1)))


FORK = """
import importlib, json, multiprocessing, sys
from pathlib import Path
import numpy as np
from pytest_perfgate import registry
from pytest_perfgate.artifact import Artifact
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext

name, path, folder = sys.argv[1:]
runtime = registry.find(registry.RUNTIMES, name)
for module in runtime.preload:
    importlib.import_module(module)
tasks = Path("/proc/self/task")
threads = len(list(tasks.iterdir())) if tasks.exists() else 0


def child(results):
    if name in {"aotinductor", "litert", "ncnn"}:  # their files are made by steps
        return results.put([])
    if name == "torch":
        import torch
        artifact = Artifact("torch", module=torch.nn.Conv2d(3, 2, 3).eval())
    else:
        artifact = Artifact("onnx", path=Path(path))
    session = runtime.open(artifact, runtime.Options(), OpenContext(1, Path(folder)))
    inputs = Inputs(np.zeros((1, 3, 64, 64), np.float32))
    results.put([output.shape for output in session.run(inputs)])


context = multiprocessing.get_context("fork")
results = context.SimpleQueue()
process = context.Process(target=child, args=(results,))
process.start()
process.join(60)
assert process.exitcode == 0, process.exitcode
print(json.dumps({"shapes": results.get(), "threads": threads}))
"""


def in_a_fork(name: str, squares: Artifact, folder: Path) -> dict[str, Any]:
    """What a forked child of a preloaded process found, and the threads of that process."""
    runtime(name)
    done = subprocess.run(
        [sys.executable, "-c", FORK, name, str(squares.path), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork: use Linux")
@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("torch", [[1, 2, 62, 62]]),
        ("onnxruntime", [[1, 49, 4], [1, 49, 1]]),
        ("openvino", [[1, 49, 4], [1, 49, 1]]),
        ("opencv", [[1, 49, 4], [1, 49, 1]]),
    ],
)
def test_a_session_opens_in_a_fork_of_a_process_that_preloaded(
    name: str, shapes: list[list[int]], squares: Artifact, tmp_path: Path
) -> None:
    """A forked child of a process that imported the preload modules can open and run."""
    assert in_a_fork(name, squares, tmp_path)["shapes"] == shapes


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads: use Linux")
@pytest.mark.parametrize(
    "name",
    [
        "torch",
        "aotinductor",
        "opencv",
        "ncnn",
        "litert",
        *(
            pytest.param(
                name,
                marks=pytest.mark.xfail(
                    reason="the import starts a thread", strict=False
                ),  # not strict: another version of the library may not
            )
            for name in ("onnxruntime", "openvino")
        ),
    ],
)
def test_preloading_starts_no_thread(name: str, squares: Artifact, tmp_path: Path) -> None:
    """What the parent of a launch imports before it forks leaves it with one thread."""
    assert in_a_fork(name, squares, tmp_path)["threads"] == 1
