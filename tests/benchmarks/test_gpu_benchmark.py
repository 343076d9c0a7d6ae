"""The benchmark of a GPU runs where there is one, and says what is missing where there is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_perfgate.runtimes.cuda import GPU
from pytest_perfgate.runtimes.torch import WITH_CUDA

from benchmarks import gpu

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")


def test_without_a_gpu_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing, how to get it, and an exit code that means it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu.main(["--quick"]) == gpu.NO_GPU
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 1
    assert "missing: " in said
    assert "nvidia-smi" in said


def test_the_plan_has_every_mode_at_every_batch() -> None:
    """On a GPU all of the modes; on the CPU those that it has."""
    planned = gpu.plan("cuda", False, "")
    assert {point.batch for point in planned} == {1, 8, 32}
    assert {point.mode for point in planned if point.runtime == "torch"} == set(gpu.MODES)
    assert any(point.runtime == "onnxruntime" for point in planned)
    assert not {"tf32", "CUDA graph"} & {point.mode for point in gpu.plan("cpu", False, "")}
    only = gpu.plan("cuda", True, "", ["digits"], ["tf32"])
    assert [(point.model, point.mode) for point in only] == [("digits", "tf32")]


def test_resnet_50_is_that_of_the_paper() -> None:
    """25.6 million parameters, and what it gives for an image of 64."""
    from suites.gpu.classifier.resnet import build

    network = build()
    assert sum(parameter.numel() for parameter in network.parameters()) == 25_557_032
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 1000)


def test_what_goes_wrong_is_a_line_that_says_it(tmp_path: Path) -> None:
    """A mode that does not run here: no figures, and the reason."""
    if not GPU.missing:
        pytest.skip("this machine has a GPU")
    requested = gpu.Asked("digits", "torch", "tf32", 1, "cuda", 2, 0.0, str(tmp_path))
    line = gpu.measure(requested)
    assert "sees no GPU" in line.problem
    assert line.latency is None
    assert "not measured: RuntimeFault" in gpu.row(line)
    assert "0 of 1 lines measured" in gpu.conclusion([line])


@pytest.mark.slow
def test_the_program_itself_runs_on_the_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One model and mode, torch and ONNX Runtime: figures, and nothing of a device made up."""
    pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
    file = tmp_path / "gpu.json"
    only = ["--model", "digits", "--mode", "fp32"]
    assert gpu.main(["--device", "cpu", "--quick", "--json", str(file), *only]) == 0
    lines = json.loads(file.read_text())["lines"]
    assert [line["runtime"] for line in lines] == ["torch", "onnxruntime"]
    for line in lines:
        assert line["problem"] == ""
        assert line["latency"] > 0
        assert line["beside"] > 0
        assert line["throughput"] == pytest.approx(1 / line["latency"])
        assert line["device_time"] is line["energy"] is line["device_memory"] is None
    assert "2 of 2 lines measured" in capsys.readouterr().out


@pytest.mark.gpu
@pytest.mark.skipif(GPU.missing or WITH_CUDA.missing, reason=f"needs {GPU.module}")
def test_timing_agrees_with_torchs_own_on_a_gpu(tmp_path: Path) -> None:
    """Within 2 % on the same calls, and the device's time is no longer than the host's."""
    line = gpu.measure(gpu.Asked("resnet50", "torch", "fp32", 8, "cuda", 60, 2.0, str(tmp_path)))
    assert line.problem == ""
    assert line.off is not None
    assert abs(line.off) < gpu.TOLERANCE
    assert line.device_time is not None
    assert line.latency is not None
    assert 0 < line.device_time <= line.latency
    assert line.energy is None or line.energy > 0
