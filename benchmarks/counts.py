"""Whether counts of an inference are the same in each process: `python -m benchmarks.counts -h`.

The demo detector in each runtime, opened and counted anew in many fresh processes with the
environment of workers: of each metric the counts that came, and in how many processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pytest_perfgate.measure.worker_environment import inherited, worker_env

from benchmarks.workload import prepare

RUNTIMES = ("torch", "onnxruntime", "openvino")


def count_here(runtime: str, folder: Path) -> dict[str, Any]:
    """The counts of one process: this one."""
    import numpy as np
    from pytest_perfgate.artifact import ONNX, TORCH, Artifact
    from pytest_perfgate.inputs import Inputs
    from pytest_perfgate.registry import RUNTIMES as REGISTERED
    from pytest_perfgate.registry import find
    from pytest_perfgate.runtimes import OpenContext
    from pytest_perfgate.worker.counting import count

    if runtime == "torch":
        from suites.digits.model import build

        artifact = Artifact(TORCH, module=build().eval())
    else:
        artifact = Artifact(ONNX, path=folder / "model.onnx")
    chosen = find(REGISTERED, runtime)
    options = chosen.Options.model_validate({})
    context = OpenContext(threads=1, folder=folder)
    image = np.load(folder / "image.npy", allow_pickle=False)
    counts = count(lambda: chosen.open(artifact, options, context), Inputs(image), heap=True)
    return counts.model_dump()


def measure(runtime: str, folder: Path, processes: int) -> dict[str, Any]:
    """Metric to its counts, each with the number of processes that had it; and why some have none.

    Raises:
        RuntimeError: a process failed; with its last words.
    """
    values: dict[str, Counter[int]] = {}
    unmeasured: dict[str, str] = {}
    command = [sys.executable, "-m", "benchmarks.counts", "--here", runtime, str(folder)]
    for _ in range(processes):
        done = subprocess.run(
            command,
            env=inherited(os.environ) | worker_env(1),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        counts = json.loads(done.stdout.splitlines()[-1])
        unmeasured |= counts["unmeasured"]
        for metric, value in counts["values"].items():
            values.setdefault(metric, Counter())[value] += 1
    return {
        "values": {metric: dict(counter) for metric, counter in values.items()},
        "unmeasured": unmeasured,
    }


def main() -> None:
    """Prints a line for each runtime and metric."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=main.__doc__)
    parser.add_argument("--processes", type=int, default=20, help="of each runtime (default: 20)")
    parser.add_argument("--quick", action="store_true", help="3 processes, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        runtime, folder = options.here
        print(json.dumps(count_here(runtime, Path(folder))))
        sys.stdout.flush()
        os._exit(0)
    folder, processes = prepare(), 3 if options.quick else options.processes
    figures = {}
    for runtime in RUNTIMES:
        figures[runtime] = measure(runtime, folder, processes)
        for metric, counts in figures[runtime]["values"].items():
            text = ", ".join(f"{value:,} in {times}" for value, times in sorted(counts.items()))
            print(f"{runtime:<12}{metric:<16} {text}")
        for metric, why in figures[runtime]["unmeasured"].items():
            print(f"{runtime:<12}{metric:<16} not measured: {why}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
