"""Which build of ONNX Runtime is installed: read from distributions and files, not imported.

`onnxruntime` and `onnxruntime-gpu` are two distributions of one module: pip installs both, the
files of the later one replace the other's, and what is left is mostly the CPU's.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pytest_perfgate.registry import Requirement

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
_MEND = (
    "python -m pip uninstall -y onnxruntime onnxruntime-gpu && "
    "python -m pip install 'onnxruntime-gpu[cuda,cudnn]'"
)
_LIBRARIES = ("libonnxruntime_providers_cuda.so", "onnxruntime_providers_cuda.dll")


def conflict() -> str:
    """One line with the versions of both distributions, and the command that leaves the GPU's;
    "" where there are not both.
    """
    try:
        installed = [distribution(name) for name in _DISTRIBUTIONS]
    except PackageNotFoundError:
        return ""
    if len({str(package.locate_file("")) for package in installed}) > 1:
        return ""  # in folders of their own neither has the other's files; the first is imported
    versions = " and ".join(f"{package.name} {package.version}" for package in installed)
    return f"{versions} share one module, which is then the CPU's; for recipes on a GPU: {_MEND}"


@dataclass(frozen=True)
class CudaProvider(Requirement):
    """ONNX Runtime with its provider for CUDA: told by the provider's library beside the module."""

    @property
    def missing(self) -> bool:
        """Whether the module is not there, or is a build for the CPU alone."""
        try:
            spec = importlib.util.find_spec("onnxruntime")
        except (ImportError, ValueError):
            return True
        if spec is None or spec.origin is None:
            return True
        folder = Path(spec.origin).parent / "capi"
        return not any((folder / name).exists() for name in _LIBRARIES)


CUDA_PROVIDER = CudaProvider("onnxruntime with its CUDA provider", _MEND)
