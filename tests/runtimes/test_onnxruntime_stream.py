"""Device time and memory of ONNX Runtime: its CPU provider, with an imitated pycuda beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import cuda, onnxruntime_stream
from pytest_perfgate.runtimes import onnxruntime as runtime_module
from pytest_perfgate.runtimes import onnxruntime_providers as providers
from pytest_perfgate.runtimes.onnxruntime_binding import Binding

from tests.runtimes import fake_gpu
from tests.runtimes.test_onnxruntime import CPU, batch, opened
from tests.squares import squares_model

onnxruntime = pytest.importorskip(
    "onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'"
)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A small ONNX detector with two outputs."""
    path = tmp_path_factory.mktemp("squares") / "squares.onnx"
    squares_model(path)
    return Artifact(ONNX, path=path)


class Fed(dict[str, Any]):
    """Inputs whose copying takes a hundred milliseconds."""

    def items(self) -> Any:
        """Asked for where they are copied."""
        fake_gpu.Event.clock += 100
        return super().items()


@pytest.fixture
def imaginary_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime's CPU provider as that of a GPU, with an imitated pycuda beside it."""
    pycuda = ModuleType("pycuda")
    pycuda.driver = fake_gpu.Driver  # type: ignore[attr-defined] # that is what is imitated
    monkeypatch.setitem(sys.modules, "pycuda", pycuda)
    monkeypatch.setattr(cuda, "require_index", lambda _: None)
    monkeypatch.setattr(cuda, "device_uuid", lambda _: "GPU-1")
    monkeypatch.setitem(providers.PROVIDERS, "cuda", CPU)
    monkeypatch.setattr(
        runtime_module, "Binding", lambda session, **given: Binding(session, **given | ON_CPU)
    )
    found = SimpleNamespace(missing=False, module="pycuda", install="pip install pycuda")
    monkeypatch.setattr(onnxruntime_stream, "PYCUDA", found)


ON_CPU = {"device": "cpu"}


@pytest.mark.usefixtures("imaginary_gpu")
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_device_time_is_between_events_around_the_session_alone(
    cuda_graph: bool, squares: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a stream that is handed to the provider; the device's memory is counted where it grows,
    and what was taken is given back.
    """
    free = iter((1000, 400, 400, 300, 300, 350))  # opening, and two runs of a batch size
    monkeypatch.setattr(fake_gpu.Driver, "free", free)
    before = fake_gpu.Driver.open_contexts
    session = opened(squares, tmp_path, provider="cuda", cuda_graph=cuda_graph)
    assert session._provider[1]["user_compute_stream"] == "7"
    assert np.isnan(session.device_seconds())
    real = session._session

    class Slow:
        """The session, whose work takes five milliseconds."""

        def run_with_iobinding(self, *given: Any) -> None:
            fake_gpu.Event.clock += 5
            real.run_with_iobinding(*given)

    binding, plain = session._binding, opened(squares, tmp_path)
    binding._session = Slow()
    monkeypatch.setattr(Slow, "io_binding", real.io_binding, raising=False)
    name = real.get_inputs()[0].name
    for _ in range(3):
        results = binding.run(Fed({name: batch(2)}))
        assert session.device_seconds() == pytest.approx(0.006)  # and one of the event's own
        for one, other in zip(plain.run(Inputs(batch(2))), results, strict=True):
            np.testing.assert_array_equal(one, other)
    assert next(free, None) is None
    assert session.peak_device_memory() == 700
    assert "device_time_problem" not in session.facts
    (bound,) = binding._kept.values()
    waits = "disable_synchronize_execution_providers"
    assert bound.settings.get_run_config_entry(waits) == "1"
    session.close()
    assert fake_gpu.Driver.open_contexts == before


@pytest.mark.usefixtures("imaginary_gpu")
def test_without_pycuda_or_bound_memory_no_device_time_is_told(
    squares: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But why, and what to do about it. A session that does not open gives the device back."""
    unbound = opened(squares, tmp_path, provider="cuda", io_binding=False)
    assert "leave it out" in unbound.facts["device_time_problem"]
    monkeypatch.setattr(fake_gpu.Driver, "free", iter((9,)))
    before = fake_gpu.Driver.open_contexts
    with pytest.raises(RuntimeFault, match="does not load the file"):
        opened(Artifact(ONNX, path=tmp_path / "none.onnx"), tmp_path, provider="cuda")
    assert fake_gpu.Driver.open_contexts == before
    absent = SimpleNamespace(missing=True, module="pycuda", install="pip install pycuda")
    monkeypatch.setattr(onnxruntime_stream, "PYCUDA", absent)
    session = opened(squares, tmp_path, provider="cuda")
    assert session.facts["device_time_problem"] == (
        "the package 'pycuda' is not installed: pip install pycuda"
    )
    session.run(Inputs(batch(1)))
    assert np.isnan(session.device_seconds())
    assert session.peak_device_memory() is None
