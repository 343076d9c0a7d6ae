"""Which wheels a CUDA host lacks, collected by pip for its platform."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

GROUPS: Mapping[str, tuple[str, ...]] = {
    "base": (
        "pytest>=8.4",
        "pytest-benchmark>=5.1",
        "pydantic>=2.8",
        "typing-extensions>=4.6",
        "jinja2>=3.1",
        "numpy>=1.26",
        "scipy>=1.11",
        "safetensors>=0.4",
        "torch-pruning>=1.5",
        "scikit-learn>=1.4",
        "scikit-image>=0.24",
        "pillow>=10",
        "hypothesis>=6.100",
        "faster-coco-eval>=1.6",
        "pycocotools>=2.0.8",
        "onnx>=1.17",
        "onnxscript>=0.3",
        "nvidia-ml-py>=12.560",
    ),
    "page": ("vl-convert-python>=1.7",),
    "onnxruntime": ("onnxruntime-gpu[cuda,cudnn]>=1.24",),
    "pycuda": ("mako>=1.3", "pytools>=2024.1"),
    "tensorrt": ("tensorrt-cu13>=10.13,<12",),
}
"""In the order in which they are carried: the first serves all of torch, and is small."""

SOURCES: Mapping[str, tuple[str, ...]] = {"pycuda": ("pycuda>=2024.1",)}
"""What has no wheels: its source is carried, and built on the host by nvcc."""

BARE = (
    *("torch", "triton", "numpy", "sympy", "mpmath", "networkx", "jinja2", "markupsafe"),
    *("fsspec", "filelock", "typing-extensions", "setuptools", "pip", "wheel"),
)
"""What a bare host has by these names, besides all that begins with `nvidia-` or `cuda-`."""

_REPLACED = {"onnxruntime"}  # shares a module with onnxruntime-gpu, which is brought

_NEWEST_GLIBC = 39
_GLIBCS = (*range(_NEWEST_GLIBC, 16, -1), 12, 5)


@dataclass(frozen=True)
class Target:
    """The host: its Python, and what is installed there by normalised name."""

    python: str = "3.12"
    has: frozenset[str] = frozenset(BARE)

    def lacks(self, name: str) -> bool:
        """Whether a package must be brought."""
        name = normalised(name)
        if name in _REPLACED:
            return False
        # The libraries that torch came with; NVML's binding is no such library.
        if name.startswith(("nvidia-", "cuda-")) and name != "nvidia-ml-py":
            return False
        return name not in self.has

    @property
    def pip(self) -> list[str]:
        """Pip's arguments for wheels of this host."""
        tags = [f"manylinux_2_{minor}_x86_64" for minor in _GLIBCS]
        tags += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
        return [
            "--only-binary=:all:", "--implementation", "cp", "--python-version", self.python,
            *(f"--platform={tag}" for tag in tags),
        ]  # fmt: skip


class NotCollected(Exception):
    """pip found no wheels for a group; the message is its last line of error."""


def normalised(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(lines: Iterable[str]) -> frozenset[str]:
    """Normalised names in the output of `python -m pip freeze` or `pip list`, or one a line."""
    found = set()
    for line in lines:
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line.strip())
        if match and match[0] not in {"Package", "---"}:
            found.add(normalised(match[0]))
    return frozenset(found)


def resolved(requirements: Collection[str], target: Target) -> list[str]:
    """`name==version` of all that these requirements need on the target and that it lacks.

    Raises:
        NotCollected: pip does not resolve them.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        _pip(
            "install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report),
            "--target", folder, *target.pip, *requirements,
        )  # fmt: skip
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
    pairs = [(item["metadata"]["name"], item["metadata"]["version"]) for item in items]
    return [f"{name}=={version}" for name, version in pairs if target.lacks(name)]


def download(requirements: Collection[str], target: Target, folder: Path) -> None:
    """Wheels of exactly these into `folder`.

    Raises:
        NotCollected: one has no wheel for the target.
    """
    if requirements:
        _pip("download", "--quiet", "--no-deps", *target.pip, "--dest", str(folder), *requirements)


def download_sources(requirements: Collection[str], folder: Path) -> None:
    """Source archives of exactly these into `folder`; their metadata is built here.

    Raises:
        NotCollected: one cannot be had.
    """
    for requirement in requirements:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        _pip(
            "download", "--quiet", "--no-deps", f"--no-binary={name[0] if name else ':all:'}",
            "--no-build-isolation", "--dest", str(folder), requirement,
        )  # fmt: skip


def build_own(folder: Path) -> None:
    """The project's own wheel, of the tree as it is.

    Raises:
        NotCollected: it does not build.
    """
    _pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise NotCollected(lines[0] if lines else f"pip {arguments[0]}: exit {done.returncode}")
