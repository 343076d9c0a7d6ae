"""Where something was measured: the machine's fingerprint and the environment of a session.

The fingerprint decides whether two measurements may be compared at all. The environment does
not; a difference in it is named as a suspect.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine import cpu_quota, nvml, visible_gpus
from pytest_perfgate.machine.arm_cores import core_names
from pytest_perfgate.machine.cores import kind_rank, usable_cores

_CPUINFO = Path("/proc/cpuinfo")
_OS_RELEASE = Path("/etc/os-release")

_FEATURES = re.compile(
    r"^(sse4_1|sse4_2|avx|avx2|avx_vnni|fma|f16c|avx512\w*|amx_\w+|asimd\w*|sve\w*|bf16|i8mm|neon)$"
)
"""Flags of /proc/cpuinfo that numeric kernels choose their code by."""

FEATURES = (
    *("sse4_1", "sse4_2", "avx", "avx2", "avx_vnni", "fma", "f16c"),
    *("avx512f", "avx512dq", "avx512ifma", "avx512cd", "avx512bw", "avx512vl", "avx512vbmi"),
    *("avx512er", "avx512pf", "avx512_vbmi2", "avx512_vnni", "avx512_bitalg", "avx512_4vnniw"),
    *("avx512_4fmaps", "avx512_vpopcntdq", "avx512_vp2intersect", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16", "amx_complex"),
    *("asimd", "asimdhp", "asimdrdm", "asimddp", "asimdfhm", "bf16", "i8mm", "neon"),
    *("sve", "sve2", "sve2p1", "svebf16", "svei8mm", "svef32mm", "svef64mm"),
)
"""The names of such flags in Linux, on x86 and ARM: what a suite may require."""


class Gpu(BaseModel):
    """One model of GPU in the machine, as it is set up; None: NVML does not tell.

    Attributes:
        driver: of sessions that were recorded when it was kept here; now the environment has it.
        power_limit: watts.
        sm_clock_cap, memory_clock_cap: the highest clocks that are allowed, Hz.
        mig: whether it is divided into instances.
        ecc: whether its memory corrects errors, which takes bandwidth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    count: int
    driver: str = ""
    power_limit: float | None = None
    sm_clock_cap: float | None = None
    memory_clock_cap: float | None = None
    mig: bool | None = None
    ecc: bool | None = None


class Machine(BaseModel):
    """The hardware fingerprint. `memory` is in GiB, rounded so that reserved pages do not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str
    features: tuple[str, ...]
    cores: int
    memory: int
    gpus: tuple[Gpu, ...] = ()
    os: str

    @property
    def id(self) -> str:
        """A folder name: readable, and different for every different fingerprint."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]
        words = "-".join([self.cpu, f"{self.cores}c", *(gpu.name for gpu in self.gpus[:1])])
        slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
        return f"{slug[:48]}-{digest}"


class Environment(BaseModel):
    """What else can move a measurement, besides the machine: compared, and named as a suspect.

    Attributes:
        gpu: versions that come with the GPU's driver.
        microcode: of the CPU; "" where it is not known.
        quota: of CPU time, in words; "" where it is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    python: str
    kernel: str
    packages: dict[str, str]
    gpu: dict[str, str] = Field(default_factory=dict)
    allocator: str = ""
    threads: int = 1
    microcode: str = ""
    quota: str = ""


def this_machine() -> Machine:
    """The fingerprint of the machine that this process runs on."""
    text = _read(_CPUINFO)
    model = core_names(text) or _field(text, "model name") or platform.processor()
    model = model or platform.machine()
    # A session on the slower cores of a hybrid processor is not compared with one on the faster.
    rank = kind_rank(usable_cores())
    if rank:
        model = f"{model}, cores of kind {rank + 1}"
    flags = (_field(text, "flags") or _field(text, "Features") or "").split()
    return Machine(
        cpu=model,
        features=tuple(sorted(flag for flag in flags if _FEATURES.match(flag))),
        cores=len(usable_cores()),
        memory=_memory(),
        gpus=_gpus(),
        os=_os(),
    )


PACKAGES = (
    "pytest-perfgate",
    "numpy",
    "torch",
    "torch-pruning",
    "torchao",
    "torchvision",
    "timm",
    "transformers",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxslim",
    "openvino",
    "nncf",
    "opencv-python-headless",
    "ncnn",
    "pnnx",
    "ai-edge-litert",
    "tensorrt",
    "pycuda",
    "nvidia-cuda-runtime",
    "nvidia-cuda-runtime-cu12",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
    "nvidia-cublas",
    "nvidia-cublas-cu12",
    "triton",
    "faster-coco-eval",
)
"""Distributions whose version is part of the environment."""


def this_environment(
    *, packages: Iterable[str] = PACKAGES, allocator: str = "", threads: int = 1
) -> Environment:
    """The environment of this process, with the allocator and threads that workers get."""
    installed: dict[str, str] = {}
    for name in packages:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return Environment(
        python=".".join(map(str, sys.version_info[:3])),
        kernel=platform.release(),
        packages=installed,
        allocator=allocator,
        threads=threads,
        gpu=_gpu_versions(),
        microcode=_field(_read(_CPUINFO), "microcode"),
        quota="none" if (limit := cpu_quota.quota()) is None else f"{limit:g} cores",
    )


def differences(before: Environment, now: Environment) -> tuple[str, ...]:
    """What differs between two environments, one line each, in words."""
    lines = [
        f"{name} {old} -> {new}"
        for name, old, new in (
            ("Python", before.python, now.python),
            ("kernel", before.kernel, now.kernel),
            ("allocator", before.allocator or "default", now.allocator or "default"),
            ("threads", str(before.threads), str(now.threads)),
        )
        if old != new
    ]
    for name, old, new in (
        ("microcode", before.microcode, now.microcode),
        ("CPU quota", before.quota, now.quota),
    ):
        if old and new and old != new:  # earlier files have neither
            lines.append(f"{name} {old} -> {new}")
    for one, other in ((before.gpu, now.gpu), (before.packages, now.packages)):
        for name in sorted(one.keys() | other.keys()):
            old, new = one.get(name, "absent"), other.get(name, "absent")
            if old != new:
                lines.append(f"{name} {old} -> {new}")
    return tuple(lines)


def unlike(before: Machine, now: Machine) -> tuple[str, ...]:
    """What differs between two machines, one line each, in words: why nothing is compared."""
    lines = [
        f"{name} {old} -> {new}"
        for name, old, new in (
            ("CPU", before.cpu, now.cpu),
            ("cores", before.cores, now.cores),
            ("memory", f"{before.memory} GiB", f"{now.memory} GiB"),
            ("GPUs", _gpu_words(before), _gpu_words(now)),
            ("os", before.os, now.os),
        )
        if old != new
    ]
    lost = sorted(set(before.features) - set(now.features))
    gained = sorted(set(now.features) - set(before.features))
    lines += [f"CPU without {', '.join(lost)}"] if lost else []
    lines += [f"CPU with {', '.join(gained)}"] if gained else []
    return tuple(lines)


def _gpu_words(machine: Machine) -> str:
    """Its GPUs with all that tells them from others."""
    words = []
    for gpu in machine.gpus:
        setup = [
            f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in gpu.model_dump(exclude={"name", "count", "driver"}).items()
            if value is not None
        ]
        words.append(f"{gpu.count} x {gpu.name}" + (f" ({', '.join(setup)})" if setup else ""))
    return "; ".join(words) or "none"


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _field(text: str, name: str) -> str:
    match = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""


def _memory() -> int:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return 0
    # The kernel keeps some memory for itself, and more after an update: of two boots of one machine
    # the rounded size is the same.
    step = 1 if total < 8 else 4
    return int(-(-total // step) * step)


def _os() -> str:
    text = _read(_OS_RELEASE)
    name = _field(text.replace("=", ": "), "ID").strip('"')
    release = _field(text.replace("=", ": "), "VERSION_ID").strip('"')
    distribution = f" {name} {release}".rstrip()
    return f"{platform.system()} {platform.machine()}{distribution}"


def _gpu_versions() -> dict[str, str]:
    library, _ = nvml.connect()
    if library is None:
        return {}
    try:
        return nvml.versions(library)
    finally:
        library.close()


def _gpus() -> tuple[Gpu, ...]:
    """Through NVML, which opens no CUDA context; none when the library or a driver is absent."""
    library, _ = nvml.connect()
    if library is None:
        return ()
    try:
        return gpus_of(library)
    finally:
        library.close()


def gpus_of(library: nvml.Library) -> tuple[Gpu, ...]:
    """The GPUs that this process may use: those of one model that are set up alike are counted."""
    counted: dict[Gpu, int] = {}
    for device in _visible(library):
        setup = device.setup()
        gpu = Gpu(
            name=setup.name,
            count=1,
            power_limit=setup.power_limit,
            sm_clock_cap=setup.sm_clock_cap,
            memory_clock_cap=setup.memory_clock_cap,
            mig=setup.mig,
            ecc=setup.ecc,
        )
        counted[gpu] = counted.get(gpu, 0) + 1
    return tuple(
        gpu.model_copy(update={"count": count}) for gpu, count in sorted(counted.items(), key=str)
    )


def _visible(library: nvml.Library) -> list[nvml.Device]:
    """Where it cannot be told which of several models are visible, all are."""
    try:
        return visible_gpus.visible(library)
    except RuntimeFault:
        return nvml.devices(library)
