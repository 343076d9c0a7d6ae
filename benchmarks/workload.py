"""The inference that every method under comparison measures, with a true slow-down where asked.

It is the demo detector on one validation image, one thread, in torch or ONNX Runtime, on the CPU
or a GPU, opened as the harness opens it. `prepare` writes what `make` needs into a cache folder,
once, so that nobody's measured time includes an export or the making of a data set.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pytest_perfgate.inputs import Inputs
from pytest_perfgate.registry import Requirement

Kind = Literal["torch", "onnx", "torch_cuda", "onnx_cuda"]
KINDS: tuple[Kind, ...] = ("torch", "onnx")
"""Those of a CPU."""

DEVICE_KINDS: tuple[Kind, ...] = ("torch_cuda", "onnx_cuda")
"""Those of a GPU; they are measured when they are asked for."""

OPTIONS: dict[Kind, dict[str, str]] = {
    "torch": {},
    "onnx": {},
    "torch_cuda": {"device": "cuda"},
    "onnx_cuda": {"provider": "cuda"},
}
"""The runtime's options for each."""

CACHE = "PERFGATE_BENCHMARK_CACHE"
"""Environment variable that names the cache folder."""

ROOT = Path(__file__).resolve().parents[1]
_FILES = ("image.npy", "model.onnx")


def prepare(cache: Path | None = None) -> Path:
    """The folder with the image and the exported detector, made where it is not there yet.

    `cache` is its parent: by default `$PERFGATE_BENCHMARK_CACHE`, else `.perfgate/benchmarks`.
    """
    parent = cache or Path(os.environ.get(CACHE) or ROOT / ".perfgate" / "benchmarks")
    folder = parent.resolve() / _version()
    if all((folder / name).exists() for name in _FILES):
        return folder
    parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    try:
        _write(fresh)
        try:
            fresh.replace(folder)
        except OSError:  # another process was faster
            if not (folder / _FILES[-1]).exists():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def make(kind: Kind, factor: float, cache: Path | None = None) -> Callable[[], None]:
    """One inference of the detector that takes 1 + `factor` of its time; ready to be called."""
    import numpy as np

    folder = prepare(cache)
    image = np.load(folder / "image.npy", allow_pickle=False)
    run = _open(kind, folder).run
    return slowed(lambda: run(image), factor)


def slowed(work: Callable[[], Any], factor: float) -> Callable[[], None]:
    """`work`, followed by a busy loop until 1 + `factor` times its own duration has passed.

    The extra is proportional to what this very call took, so that an inference that the machine
    disturbed is slowed by as much: the true ratio is 1 + `factor` at every quantile.

    Raises:
        ValueError: `factor` is negative.
    """
    if factor < 0:
        raise ValueError(f"a slow-down factor is 0 or more, not {factor}")
    clock = time.perf_counter

    def call() -> None:
        start = clock()
        work()
        end = start + (clock() - start) * (1.0 + factor)
        while clock() < end:
            pass

    return call


def missing(kind: Kind) -> list[Requirement]:
    """What this machine lacks for it."""
    runtime, options = _runtime(kind)
    return [each for each in runtime.requires_with(options) if each.missing]


def _runtime(kind: Kind) -> tuple[Any, Any]:
    """The runtime, and its options."""
    runtime: Any
    if kind.startswith("onnx"):
        from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime

        runtime = OnnxRuntime()
    else:
        from pytest_perfgate.runtimes.torch import Torch

        runtime = Torch()
    return runtime, runtime.Options.model_validate(OPTIONS[kind])


def _open(kind: Kind, folder: Path) -> Any:
    from pytest_perfgate.artifact import ONNX, TORCH, Artifact
    from pytest_perfgate.runtimes import OpenContext

    runtime, options = _runtime(kind)
    if kind.startswith("onnx"):
        artifact = Artifact(ONNX, path=folder / "model.onnx")
    else:
        from suites.digits.model import build

        artifact = Artifact(TORCH, module=build())
    return runtime.open(artifact, options, OpenContext(threads=1, folder=folder))


def _write(folder: Path) -> None:
    import numpy as np
    from pytest_perfgate.artifact import TORCH, Artifact
    from pytest_perfgate.steps import BuildContext
    from pytest_perfgate.steps.export import Export

    from suites.digits.data import SPLITS, Composer
    from suites.digits.model import build

    split = SPLITS["validation"]
    scene = Composer(split, split.seed).scene()  # the split's first
    pixels = scene.image.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    image = np.ascontiguousarray(pixels)
    np.save(folder / "image.npy", image)
    context = BuildContext(
        folder=folder,
        example=lambda count: Inputs(np.repeat(image, count, axis=0)),
        inputs=lambda *_: iter(()),
        data=lambda _: None,
        trainer=None,
        seed=0,
        threads=1,
    )
    step = Export()
    options = step.Options.model_validate({})
    step.prove(step.apply(Artifact(TORCH, module=build()), options, context).effect, options)


def _version() -> str:
    """Digest of what the cached files are made from."""
    from importlib.metadata import version

    found = hashlib.sha256()
    for name in ("model.py", "data.py", "weights.safetensors"):
        found.update((ROOT / "suites" / "digits" / name).read_bytes())
    found.update((ROOT / "harness" / "pytest_perfgate" / "steps" / "export.py").read_bytes())
    for package in ("torch", "onnx", "onnxscript"):
        found.update(f"{package} {version(package)}".encode())
    return f"detector-{found.hexdigest()[:16]}"
