"""torch on a GPU: what is asked for is checked and proven; the real thing where there is one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import DEVICE_UUID, OpenContext, torch_session, torch_tensorrt
from pytest_perfgate.runtimes import torch as runtime
from pytest_perfgate.runtimes.cuda import GPU
from pytest_perfgate.runtimes.torch import WITH_CUDA, Torch
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.requirements import missing_packages

from tests.runtimes.test_runtimes import batch

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")


def opened(module: Any, folder: Path, **options: Any) -> Any:
    """A session."""
    context = OpenContext(threads=1, folder=folder)
    return Torch().open(Artifact(TORCH, module=module.eval()), Torch.Options(**options), context)


def convolution() -> Any:
    """A small module."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())


ENGINES = {"compile": True, "compile_backend": "tensorrt", "device": "cuda"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tf32": True}, "tf32 needs a GPU"),
        ({"cuda_graph": True}, "cuda_graph needs a GPU"),
        ({"compile_mode": "max-autotune"}, "compile_mode is an option of torch.compile"),
        ({"compile_backend": "tensorrt"}, "compile_backend is an option of torch.compile"),
        ({"compile_backend": "tensorrt", "compile": True}, "needs a GPU"),
        ({**ENGINES, "compile_mode": "max-autotune"}, "compile_mode is an option of Inductor"),
        ({**ENGINES, "autocast": "float16"}, "an engine computes in the types of the module"),
        ({"device": "mps"}, "'cpu' or 'cuda'"),
        (
            {"device": "cuda", "cuda_graph": True, "compile": True, "compile_mode": "max-autotune"},
            "captures graphs by itself",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused_at_reading(values: dict[str, Any], words: str) -> None:
    """Before any work, with what would be valid."""
    with pytest.raises(ValidationError, match=words):
        Torch.Options(**values)


def test_a_gpu_is_needed_only_where_it_is_asked_for() -> None:
    """The CPU's recipes need torch; those on `cuda` its build with CUDA and a GPU besides."""
    needs = Torch().requires_with(Torch.Options())
    assert [need.module for need in needs] == ["torch"]
    assert set(Torch().requires_with(Torch.Options(device="cuda"))) >= {GPU, WITH_CUDA}


def test_a_recipe_on_a_gpu_is_skipped_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its suite is read and checked; what is missing is named, and how to get it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (tmp_path / "recipes.toml").write_text(
        '[suite]\ntask = "detection"\nmodel = "a.b:c"\ndata = { validation = "a.b:d" }\n'
        '[[recipe]]\nname = "gpu"\nruntime = { name = "torch", device = "cuda" }\n'
    )
    suite = reading.read(tmp_path / "recipes.toml", tmp_path).suite
    assert suite is not None
    missing = missing_packages(suite, suite.recipes["gpu"])
    assert GPU in missing
    assert "nvidia-smi" in GPU.install


def test_a_build_for_the_cpu_is_told_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an import of torch."""
    for text, missing in (("2.13.0+cpu", True), ("2.13.0", False), ("2.13.0+cu126", False)):
        monkeypatch.setattr(runtime, "version", lambda _, text=text: text)
        assert WITH_CUDA.missing is missing


def test_torch_without_a_gpu_is_a_fault_not_a_run_on_the_cpu(tmp_path: Path) -> None:
    """Where nothing was skipped before, opening says it."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeFault, match="sees no GPU"):
        opened(convolution(), tmp_path, device="cuda")


def test_a_tensor_that_is_elsewhere_is_a_fault() -> None:
    """A model that does part of its work on another device than asked for."""
    from pytest_perfgate.runtimes.torch_cuda import prove_device

    here, there = torch.zeros(1), torch.zeros(1, device="meta")
    prove_device([here], torch.device("cpu"), "an output")
    with pytest.raises(RuntimeFault, match=r"an output of the model is on meta"):
        prove_device([here, there], torch.device("cpu"), "an output")


@pytest.mark.slow
def test_a_compile_mode_is_handed_to_the_compiler(tmp_path: Path) -> None:
    """On the CPU too: what it asks for is patched into Inductor's configuration."""
    torch._dynamo.reset()
    options = {"compile": True, "compile_mode": "max-autotune-no-cudagraphs"}
    session = opened(convolution(), tmp_path, **options)
    (result,) = session.run(Inputs(batch(1)))
    wanted = convolution()(torch.from_numpy(batch(1))).detach().numpy()
    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)
    assert session.facts["graphs"] == 1
    torch._dynamo.reset()


def test_torch_tensorrt_is_needed_only_where_it_is_asked_for() -> None:
    """With how to get it."""
    needs = Torch().requires_with(Torch.Options(**ENGINES))
    assert torch_tensorrt.TORCH_TENSORRT in needs
    assert torch_tensorrt.TORCH_TENSORRT.install == "python -m pip install torch-tensorrt"


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    """A compiler under Torch-TensorRT's name, whose engines are operators of that name."""
    if not torch_tensorrt.TORCH_TENSORRT.missing:
        pytest.skip("the real one is installed")
    library = torch.library.Library("tensorrt", "FRAGMENT")
    library.define("execute_engine(Tensor x) -> Tensor")
    library.impl("execute_engine", lambda x: x.clone(), "CompositeExplicitAutograd")
    builds = {"engines": True}

    def compiler(graph: Any, inputs: Any, *, options: dict[str, Any]) -> Any:  # noqa: ARG001
        assert options["pass_through_build_failures"]

        def run(*arguments: Any) -> Any:
            (output,) = graph(*arguments)
            engine = torch.ops.tensorrt.execute_engine
            return (engine(output) if builds["engines"] else output,)

        return run

    monkeypatch.setitem(sys.modules, "torch_tensorrt", ModuleType("torch_tensorrt"))
    torch._dynamo.reset()
    torch._dynamo.register_backend(compiler_fn=compiler, name="torch_tensorrt")
    yield builds
    torch._dynamo.reset()
    del torch._dynamo.backends.registry._BACKENDS["torch_tensorrt"]
    torch._dynamo.backends.registry._COMPILER_FNS.pop("torch_tensorrt", None)
    library._destroy()


@pytest.mark.parametrize("built", [True, False])
def test_engines_of_torch_tensorrt_are_counted_as_they_run(
    engines: dict[str, bool], tmp_path: Path, built: bool
) -> None:
    """Code in which everything was left to torch is a fault."""
    engines["engines"] = built
    options = Torch.Options(compile=True).model_copy(update={"compile_backend": "tensorrt"})
    context = OpenContext(threads=1, folder=tmp_path)
    session = torch_session.TorchSession(convolution().eval(), options, context)
    if built:
        session.run(Inputs(batch(1)))
        assert session.facts["engines_run"] == 1
    else:
        with pytest.raises(RuntimeFault, match="an inference ran none of its engines"):
            session.run(Inputs(batch(1)))


needs_gpu = pytest.mark.skipif(
    GPU.missing or WITH_CUDA.missing, reason=f"needs {GPU.module} and {WITH_CUDA.module}"
)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tf32": True},
        {"autocast": "float16"},
        {"autocast": "bfloat16", "cuda_graph": True},
        {"cuda_graph": True},
        {"compile": True},
        {"compile": True, "compile_mode": "reduce-overhead"},
    ],
    ids=str,
)
def test_every_mode_runs_on_the_device_and_gives_the_cpus_numbers(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """At two batch sizes; times on the device and memory are told, and the device is named."""
    session = opened(convolution(), tmp_path, device="cuda", **options)
    for count in (1, 3, 1):
        for _ in range(3):
            (result,) = session.run(Inputs(batch(count)))
        wanted = convolution()(torch.from_numpy(batch(count))).detach().numpy()
        np.testing.assert_allclose(result, wanted, rtol=2e-2, atol=2e-2)
    assert 0 < session.device_seconds() < 1
    assert session.peak_device_memory() > 0
    session.flush_cache()
    assert session.facts[DEVICE_UUID]
    assert session.facts["device"] == torch.cuda.get_device_name()
    session.close()


@pytest.mark.gpu
@needs_gpu
def test_a_model_that_leaves_the_device_is_a_fault(tmp_path: Path) -> None:
    """Its output was made on the CPU."""

    class Leaves(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.body = convolution()

        def forward(self, x: Any) -> Any:
            return self.body(x).cpu()

    session = opened(Leaves(), tmp_path, device="cuda")
    with pytest.raises(RuntimeFault, match="an output of the model is on cpu"):
        session.run(Inputs(batch(1)))


@pytest.mark.gpu
@needs_gpu
@pytest.mark.skipif(
    torch_tensorrt.TORCH_TENSORRT.missing, reason=torch_tensorrt.TORCH_TENSORRT.install
)
def test_torch_tensorrt_runs_engines_and_gives_the_cpus_numbers(tmp_path: Path) -> None:
    """A module that is large enough for a block of its own."""
    torch.manual_seed(0)
    layers = [convolution()] + [torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3), torch.nn.ReLU())] * 3
    model = torch.nn.Sequential(*layers).eval()
    wanted = model(torch.from_numpy(batch(2))).detach().numpy()
    session = opened(model, tmp_path, **ENGINES)
    (result,) = session.run(Inputs(batch(2)))
    np.testing.assert_allclose(result, wanted, rtol=2e-2, atol=2e-2)
    assert session.facts["engines_run"] > 0
    session.close()
