"""Which ONNX Runtime is installed, on made-up distributions and files."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from pytest_perfgate.plugin.hooks import PerfHooks
from pytest_perfgate.runtimes import onnxruntime_build
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime


def _site(folder: Path, *distributions: str, library: bool = False) -> Path:
    for name in distributions:
        info = folder / f"{name.replace('-', '_')}-1.30.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.30.0\n")
    (folder / "onnxruntime" / "capi").mkdir(parents=True)
    (folder / "onnxruntime" / "__init__.py").touch()
    if library:
        (folder / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so").touch()
    return folder


def _only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("sys.path", [str(folder)])
    importlib.invalidate_caches()


def test_both_distributions_are_a_conflict_with_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line: both versions, whose module it is then, and what to run."""
    _only(monkeypatch, _site(tmp_path, "onnxruntime", "onnxruntime-gpu", library=True))
    line = onnxruntime_build.conflict()
    assert "\n" not in line
    assert line.startswith("onnxruntime 1.30.0 and onnxruntime-gpu 1.30.0 share one module")
    assert line.endswith(
        "python -m pip uninstall -y onnxruntime onnxruntime-gpu && "
        "python -m pip install 'onnxruntime-gpu[cuda,cudnn]'"
    )


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-gpu"])
def test_one_distribution_is_no_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whichever it is."""
    _only(monkeypatch, _site(tmp_path, name))
    assert onnxruntime_build.conflict() == ""


def test_distributions_in_folders_of_their_own_are_no_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `pip install --target`: neither overwrote the other's files."""
    folders = [_site(tmp_path / "a", "onnxruntime-gpu"), _site(tmp_path / "b", "onnxruntime")]
    monkeypatch.setattr("sys.path", [str(folder) for folder in folders])
    importlib.invalidate_caches()
    assert onnxruntime_build.conflict() == ""


def test_the_conflict_stands_at_the_start_of_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pytest's header, below the machine."""
    hooks = PerfHooks.__new__(PerfHooks)
    session = type("Session", (), {"machine": type("Machine", (), {"id": "here"})})
    hooks._session = session  # type: ignore[assignment] # a header needs no more of it
    assert hooks.pytest_report_header() == ["perfgate: machine here"]
    monkeypatch.setattr(onnxruntime_build, "conflict", lambda: "both; mend: …")
    assert hooks.pytest_report_header() == ["perfgate: machine here", "perfgate: both; mend: …"]


def test_a_build_for_the_cpu_is_missing_the_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe for a GPU is then skipped; before, only the session's start told."""
    required = OnnxRuntime().requires_with(OnnxRuntime.Options(provider="cuda"))
    assert onnxruntime_build.CUDA_PROVIDER in required
    monkeypatch.delitem(__import__("sys").modules, "onnxruntime", raising=False)
    _only(monkeypatch, _site(tmp_path / "cpu", "onnxruntime"))
    assert onnxruntime_build.CUDA_PROVIDER.missing
    _only(monkeypatch, _site(tmp_path / "gpu", "onnxruntime-gpu", library=True))
    assert not onnxruntime_build.CUDA_PROVIDER.missing
    (tmp_path / "none").mkdir()
    _only(monkeypatch, tmp_path / "none")
    assert onnxruntime_build.CUDA_PROVIDER.missing
