"""What a GPU does with ResNet-50 and the demo detector, in every mode of the runtimes here.

Prints the device and versions, and for torch and ONNX Runtime: latency, time on the device,
throughput, device memory and energy in fp32, TF32, fp16, bf16, channels-last, compiled and as a
CUDA graph, at several batch sizes; and the timing beside that of torch.utils.benchmark on the same
work. Each line is measured in a process of its own. `python -m benchmarks.gpu --help`.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.files import put
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.machine import nvml
from pytest_perfgate.machine.fingerprint import this_environment, this_machine
from pytest_perfgate.runtimes import DEVICE_UUID, OpenContext
from pytest_perfgate.runtimes.cuda import GPU
from pytest_perfgate.runtimes.torch import WITH_CUDA
from pytest_perfgate.units import Unit, show

from benchmarks import gpu_modes
from benchmarks.gpu_modes import MODELS, MODES

NO_GPU = 3
"""The exit code that says: there is no GPU, and so nothing was measured."""

TOLERANCE = 0.02
"""How far the timing may be from torch.utils.benchmark's on the same work."""

BATCHES = (1, 8, 32)

RUNTIMES = ("torch", "onnxruntime")


@dataclass(frozen=True)
class Asked:
    """One line to be measured, in a process of its own."""

    model: str
    runtime: str
    mode: str
    batch: int
    device: str
    samples: int
    seconds: float
    folder: str


@dataclass(frozen=True)
class Line:
    """What was measured; None: not measured, and `problem` says why where all of it was not.

    Attributes:
        latency, latency_p95: seconds of host wall time of a batch.
        device_time: seconds of a batch on the device, median.
        throughput: images per second.
        device_memory: bytes, of the process or else of the allocator.
        energy: joules per image.
        beside: the median that torch.utils.benchmark gives for the same call, in seconds.
        cold: seconds of a batch on the device after its L2 cache was flushed, median.
        do_bench: the median that triton.testing.do_bench, which flushes it too, gives for the same
            module on a batch that is there, in seconds.
    """

    model: str
    runtime: str
    mode: str
    batch: int
    latency: float | None = None
    latency_p95: float | None = None
    device_time: float | None = None
    throughput: float | None = None
    device_memory: int | None = None
    energy: float | None = None
    beside: float | None = None
    cold: float | None = None
    do_bench: float | None = None
    problem: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def off(self) -> float | None:
        """How far the latency is from that of torch.utils.benchmark, as a share of it."""
        return self.latency / self.beside - 1 if self.latency and self.beside else None

    @property
    def device_off(self) -> float | None:
        """How far the time on the device is from triton's do_bench, as a share of it."""
        return self.cold / self.do_bench - 1 if self.cold and self.do_bench else None


def missing(device: str) -> str:
    """What stands in the way of a device, "" for nothing."""
    needed = (WITH_CUDA, GPU) if device == "cuda" else ()
    return "; ".join(f"{each.module} ({each.install})" for each in needed if each.missing)


def measure(asked: Asked) -> Line:
    """One line; whatever goes wrong is its problem."""
    line = Line(asked.model, asked.runtime, asked.mode, asked.batch)
    try:
        session = _session(asked)
    except Exception as error:  # noqa: BLE001 - one mode that does not work ends its line only
        return replace(line, problem=f"{type(error).__name__}: {error}")
    import numpy as np

    side = MODELS[asked.model][1]
    generator = np.random.default_rng(0)
    inputs = [
        Inputs(generator.random((asked.batch, 3, side, side), dtype=np.float32)) for _ in range(4)
    ]  # rotated, as a suite's images are
    try:
        return _measured(asked, line, session, inputs)
    except Exception as error:  # noqa: BLE001 - the same
        return replace(line, problem=f"{type(error).__name__}: {error}")


def _measured(asked: Asked, line: Line, session: Any, inputs: Sequence[Any]) -> Line:
    turn = 0

    def run() -> None:
        nonlocal turn
        session.run(inputs[turn % len(inputs)])
        turn += 1

    _warm(run, asked.seconds)
    device_seconds: Callable[[], float] | None = getattr(session, "device_seconds", None)
    walls: list[float] = []
    devices: list[float] = []
    others: list[float] = []
    torchs_own = _torchs_own(run)
    for _ in range(asked.samples):  # in turns: what drifts, moves both
        start = time.perf_counter()
        run()
        walls.append(time.perf_counter() - start)
        if device_seconds is not None:
            devices.append(device_seconds())
        others.append(torchs_own())
    latency = statistics.median(walls)
    known = [each for each in devices if not math.isnan(each)]
    energy, memory = _by_nvml(asked, session, run)
    facts = session.facts
    cold = _cold(session, run, asked.samples)
    session.close()  # what do_bench measures has the device for itself
    return replace(
        line,
        latency=latency,
        latency_p95=statistics.quantiles(walls, n=20)[-1],
        device_time=statistics.median(known) if known else None,
        throughput=asked.batch / latency,
        device_memory=memory,
        energy=energy,
        beside=statistics.median(others),
        cold=cold,
        do_bench=None
        if cold is None or asked.runtime != "torch"
        else gpu_modes.do_bench(asked.model, asked.mode, inputs[0]),
        facts=facts,
    )


def _cold(session: Any, run: Callable[[], None], samples: int) -> float | None:
    """Median seconds on the device, its L2 cache flushed before each; None without a device."""
    if not session.flush_cache():
        return None
    times = []
    for _ in range(samples):
        session.flush_cache()
        run()
        times.append(float(session.device_seconds()))
    return statistics.median(times)


def _session(asked: Asked) -> Any:
    runtime = registry.find(registry.RUNTIMES, asked.runtime)
    change, options, _ = MODES[asked.mode]
    module = gpu_modes.module_of(asked.model)
    context = OpenContext(threads=1, folder=Path(asked.folder))
    if asked.runtime == "onnxruntime":
        artifact = Artifact(ONNX, path=_exported(module, asked))
        return runtime.open(artifact, runtime.Options(provider=asked.device), context)
    module = gpu_modes.changed(module, change)
    options = runtime.Options(device=asked.device, **options)
    return runtime.open(Artifact(TORCH, module=module), options, context)


def _exported(module: Any, asked: Asked) -> Path:
    import torch

    file = Path(asked.folder) / f"{asked.model}-{asked.batch}.onnx"
    side = MODELS[asked.model][1]
    example = (torch.zeros(asked.batch, 3, side, side),)
    program = torch.onnx.export(module, example, dynamo=True, verbose=False)
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    program.save(str(file))
    return file


def _warm(run: Callable[[], None], seconds: float) -> None:
    """Until the time is up, and three times at least: what is compiled is compiled then."""
    run()
    start, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - start < seconds:
        run()
        count += 1


def _torchs_own(run: Callable[[], None]) -> Callable[[], float]:
    """The seconds of one such call by torch.utils.benchmark, which warms up for itself."""
    from torch.utils.benchmark import Timer

    timer: Any = Timer("run()", globals={"run": run}, num_threads=1)
    return lambda: float(timer.timeit(1).median)


def _by_nvml(
    asked: Asked, session: Any, run: Callable[[], None]
) -> tuple[float | None, int | None]:
    """Joules per image, and the bytes of this process on the device."""
    import os

    peak = getattr(session, "peak_device_memory", None)
    allocator = None if peak is None else peak()
    uuid = session.facts.get(DEVICE_UUID)
    library, _ = nvml.connect()
    if library is None:
        return None, allocator
    try:
        device = nvml.find(library, str(uuid)) if uuid else None
        if device is None:
            return None, allocator
        before, count = device.energy(), 0
        start = time.perf_counter()
        while time.perf_counter() - start < max(1.0, asked.seconds):
            run()
            count += 1
        after = device.energy()
        process = (device.processes() or {}).get(os.getpid())
        joules = None if before is None or after is None or after <= before else after - before
        return (
            None if joules is None else joules / (count * asked.batch),
            allocator if process is None else process,
        )
    finally:
        library.close()


def plan(
    device: str,
    quick: bool,
    folder: str,
    models: Sequence[str] = (),
    modes: Sequence[str] = (),
    *,
    runtimes: Sequence[str] = RUNTIMES,
    batches: Sequence[int] = (),
) -> list[Asked]:
    """Every line that is asked for; of all models, modes and batches when none is named."""
    samples, seconds = (6, 0.05) if quick else (60, 2.0)
    found = []
    for model in models or MODELS:
        for batch in batches or (BATCHES[:1] if quick else BATCHES):
            common = (batch, device, samples, seconds, folder)
            for mode, (_, _, only) in MODES.items():
                if "torch" not in runtimes or (modes and mode not in modes):
                    continue
                if (only and only != device) or (quick and not modes and mode == "compiled"):
                    continue
                found.append(Asked(model, "torch", mode, *common))
            if "onnxruntime" in runtimes and (not modes or "fp32" in modes):
                found.append(Asked(model, "onnxruntime", "fp32", *common))
    return found


_ROW = "{:<10} {:<12} {:<14} {:>5} {:>11} {:>11} {:>11} {:>14} {:>10} {:>10} {:>8}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table; exit code 3 when there is no GPU, 1 when a line or its timing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="batch 1, few samples, not compiled")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="cpu: runs this program where there is no GPU; says nothing of one",
    )
    parser.add_argument("--model", action="append", choices=tuple(MODELS), help="only this one")
    parser.add_argument("--batch", action="append", type=int, choices=BATCHES, help="only this one")
    parser.add_argument("--runtime", action="append", choices=RUNTIMES, help="only this one")
    parser.add_argument("--mode", action="append", choices=tuple(MODES), help="only this one")
    asked = parser.parse_args(arguments)
    absent = missing(asked.device)
    if absent:
        print(f"nothing was measured; missing: {absent}; --device cpu --quick tries the program")
        return NO_GPU
    machine, environment = this_machine(), this_environment()
    versions = {**environment.gpu, **environment.packages}
    gpus = ", ".join(f"{gpu.count} x {gpu.name}" for gpu in machine.gpus)
    print(f"device {asked.device}: {gpus or machine.cpu}")
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(
        _ROW.format(
            "model", "runtime", "mode", "batch", "p50", "p95", "device", "throughput", "memory",
            "J/image", "beside",
        )
    )  # fmt: skip
    lines = []

    def planned(folder: str) -> list[Asked]:
        return plan(
            asked.device,
            asked.quick,
            folder,
            asked.model or (),
            asked.mode or (),
            runtimes=asked.runtime or RUNTIMES,
            batches=asked.batch or (),
        )

    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
        ) as pool,
    ):
        for line in pool.map(measure, planned(folder)):
            lines.append(line)
            print(row(line), flush=True)
    print(conclusion(lines))
    if asked.json:
        figures = {
            "machine": machine.model_dump(),
            "versions": versions,
            "device": asked.device,
            "lines": [
                {**asdict(line), "off": line.off, "device_off": line.device_off} for line in lines
            ],
        }
        put(asked.json, json.dumps(figures, indent=1, default=str) + "\n")
    wrong = any(line.problem for line in lines)
    far = not asked.quick and any(abs(line.off or 0.0) > TOLERANCE for line in lines)
    return int(wrong or far)


def row(line: Line) -> str:
    """One line of the table; what was not measured is said so."""
    head = (line.model, line.runtime, line.mode, line.batch)
    if line.problem:
        first = line.problem.splitlines()[0][:90]
        return f"{head[0]:<10} {head[1]:<12} {head[2]:<14} {head[3]:>5}  not measured: {first}"
    cells = (
        show(line.latency, Unit.SECONDS),
        show(line.latency_p95, Unit.SECONDS),
        _short(line.device_time, Unit.SECONDS),
        show(line.throughput, Unit.IMAGES_PER_SECOND),
        _short(line.device_memory, Unit.BYTES),
        _short(line.energy, Unit.JOULES),
        "-" if line.off is None else f"{line.off * 100:+.1f} %",
    )
    return _ROW.format(*head, *cells)


def _short(value: float | None, unit: Unit) -> str:
    return "-" if value is None else show(value, unit)


def conclusion(lines: Sequence[Line]) -> str:
    """What the table comes to, in two sentences; "-" in it is "not measured"."""
    known = [abs(line.off) for line in lines if line.off is not None]
    failed = sum(bool(line.problem) for line in lines)
    text = f'{len(lines) - failed} of {len(lines)} lines measured; "-" is "not measured".'
    if known:
        far = sum(each > TOLERANCE for each in known)
        text += (
            f" Beside torch.utils.benchmark on the same calls: at most {max(known) * 100:.1f} % "
            f"off, {far} of {len(known)} beyond {TOLERANCE * 100:.0f} %."
        )
    return text


if __name__ == "__main__":
    sys.exit(main())
