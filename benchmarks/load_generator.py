"""Is the load generator the bottleneck? Requests of 1 kB to a server that does nothing.

Generator and server have a core each. The open loop is offered one rate after the other, and keeps
one when nothing failed, its lag stays below the bound of a run and the answers come as fast as
requests were sent. Its peers send as fast as they can, from one core as well:

    python -m benchmarks.load_generator --quick --json load.json
    python -m benchmarks.load_generator --theory  # the queue M/D/1, simulated and by its formula
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pytest_perfgate.load.http_client import Address, HttpClient, request_bytes
from pytest_perfgate.load.open_loop import run_open_loop
from pytest_perfgate.stats.arrivals import poisson_arrivals

from benchmarks.null_server import SIZE
from benchmarks.queueing import md1_table

TARGET = 5_000.0
"""Requests per second that the generator keeps on one core."""

RATES = (2_000.0, 5_000.0, 7_500.0, 10_000.0, 15_000.0)
_CONNECTIONS = 16
_TRIES = 3  # of a rate: another program on the core makes a loop late once, not each time
_COMPLETE = 0.97  # of the offered rate: what is left of it where the last answers come late
_PATH = "/v2/models/null/infer"


@dataclass(frozen=True)
class Row:
    """A generator at one rate.

    Attributes:
        offered: requests per second of its schedule; None: as fast as it can.
        achieved: answers per second.
        lag_p50, lag_p99: seconds from the scheduled time to sending; None: it has no schedule.
        kept: whether it kept the offered rate; None: it has no schedule.
        cpu: seconds of the generator's CPU time per request, waiting for the next arrival included.
        note: why there are no numbers.
    """

    generator: str
    offered: float | None = None
    achieved: float | None = None
    lag_p50: float | None = None
    lag_p99: float | None = None
    kept: bool | None = None
    cpu: float | None = None
    note: str = ""

    def __str__(self) -> str:
        if self.achieved is None:
            return f"{self.generator:24} {self.note}".strip()
        text = f"{self.generator:24} {self.achieved:9,.0f} requests/s"
        if self.lag_p50 is None or self.lag_p99 is None or self.cpu is None:
            return text
        return (
            f"{text} of {self.offered or 0.0:7,.0f}; lag p50 {self.lag_p50 * 1e6:6.0f} us, "
            f"p99 {self.lag_p99 * 1e6:6.0f} us; CPU {self.cpu * 1e6:4.0f} us each"
            f"{'' if self.kept else '; NOT KEPT'}"
        )


def infer_request() -> tuple[bytes, dict[str, str]]:
    """The body of a KServe V2 request with a tensor of `SIZE` bytes, and its headers."""
    tensor: dict[str, object] = {
        "name": "input",
        "datatype": "FP32",
        "shape": [1, SIZE // 4],
    }
    tensor |= {"parameters": {"binary_data_size": SIZE}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return head + bytes(SIZE), headers


@contextlib.contextmanager
def null_server(core: int | None) -> Iterator[int]:
    """The port of a server that does nothing, on a core of its own."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.null_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        if core is not None:
            os.sched_setaffinity(server.pid, {core})
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()


def open_loop_at(port: int, rate: float, seconds: float) -> Row:
    """The best of some runs of the open loop at one rate."""
    body, headers = infer_request()
    url = f"http://127.0.0.1:{port}"
    rows = []
    for attempt in range(_TRIES):
        client = HttpClient(
            Address.of(url),
            [request_bytes(url, _PATH, headers, body)],
            lambda _, answer: (np.frombuffer(answer.body[-SIZE:], np.float32),),
            _CONNECTIONS,
        )
        schedule = poisson_arrivals(rate, round(rate * seconds), seed=attempt)
        before = time.process_time()
        run = run_open_loop(schedule, client, timeout=5.0)
        cpu = (time.process_time() - before) / len(schedule)
        client.close()
        p50, p99 = (float(np.quantile(run.lag, share)) for share in (0.5, 0.99))
        offered = len(schedule) / float(schedule[-1])
        complete = run.throughput >= _COMPLETE * offered
        kept = complete and not run.errors and not run.too_late()
        rows.append(Row("open loop", rate, run.throughput, p50, p99, kept, cpu))
        if kept:
            break
    return min(rows, key=lambda row: (not row.kept, row.lag_p99))


def tritonclient_alone(port: int, seconds: float) -> Row:
    """The `infer` of tritonclient, one request after the other."""
    name = "tritonclient infer"
    try:
        from tritonclient.http import InferenceServerClient, InferInput
    except ImportError:
        return Row(name, note="not installed: python -m pip install 'pytest-perfgate[serving]'")
    client = InferenceServerClient(f"127.0.0.1:{port}")
    tensor = InferInput("input", [1, SIZE // 4], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, SIZE // 4), np.float32))
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        client.infer("null", [tensor])
        count += 1
    client.close()
    return Row(name, achieved=count / passed)


def program(name: str, command: Sequence[str], rate: str, install: str) -> Row:
    """A program that prints the rate it reached."""
    if shutil.which(command[0]) is None:
        return Row(name, note=f"not installed: {install}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(rate, done.stdout)
    if match is None:
        return Row(name, note=f"no rate in what it prints: {(done.stderr or done.stdout)[-200:]}")
    return Row(name, achieved=float(match[1].replace(",", "")))


_LOCUST = """\
from locust import FastHttpUser, constant, task

BODY = open({body!r}, "rb").read()


class Sender(FastHttpUser):
    wait_time = constant(0)

    @task
    def infer(self):
        self.client.post({path!r}, data=BODY, headers={headers!r})
"""


def peers(port: int, seconds: float, folder: Path) -> list[Row]:
    """Other generators, each as fast as it can, on this process's core."""
    content, headers = infer_request()
    body = folder / "body"
    body.write_bytes(content)
    url, length = f"http://127.0.0.1:{port}{_PATH}", str(max(1, round(seconds)))
    lua = folder / "post.lua"
    lua.write_text(
        'wrk.method = "POST"\n'
        f'local file = io.open("{body}", "rb")\nwrk.body = file:read("*a")\n'
        + "".join(f'wrk.headers["{key}"] = "{value}"\n' for key, value in headers.items())
    )
    (folder / "locustfile.py").write_text(
        _LOCUST.format(body=str(body), path=_PATH, headers=headers)
    )
    many = str(_CONNECTIONS)
    given = [part for key, value in headers.items() for part in ("-H", f"{key}: {value}")]
    post = "application/octet-stream"
    wrk = ["wrk", "-t1", f"-c{many}", f"-d{length}s", "-s", str(lua), url]
    hey = ["hey", "-z", f"{length}s", "-c", many, "-cpus", "1", "-m", "POST", "-T", post]
    ab = ["ab", "-q", "-k", "-n", "20000", "-c", many, "-p", str(body), "-T", post]
    locust = ["locust", "-f", str(folder / "locustfile.py"), "--headless", "-u", many, "-r", many]
    locust += ["-t", f"{length}s", "-H", f"http://127.0.0.1:{port}", "--only-summary"]
    totals = r"Aggregated\s+\d+\s+\S+\s*\|[^|]*\|\s*([\d.]+)"
    return [
        tritonclient_alone(port, seconds),
        program("wrk", wrk, r"Requests/sec:\s+([\d.]+)", "apt-get install wrk"),
        program(
            "hey",
            [*hey, *given, "-D", str(body), url],
            r"Requests/sec:\s+([\d.]+)",
            "apt-get install hey",
        ),
        program(
            "ab", [*ab, url], r"Requests per second:\s+([\d.]+)", "apt-get install apache2-utils"
        ),
        program("locust FastHttpUser", locust, totals, "python -m pip install locust"),
    ]


def rows_of(seconds: float) -> list[Row]:
    """All generators; on two cores where this process may use as many."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    apart = len(cores) > 1
    with null_server(cores[0] if apart else None) as port, tempfile.TemporaryDirectory() as folder:
        if apart:
            os.sched_setaffinity(0, {cores[1]})
        try:
            rows = [open_loop_at(port, rate, seconds) for rate in RATES]
            return rows + peers(port, seconds, Path(folder))
        finally:
            if apart:
                os.sched_setaffinity(0, cores)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the rates; 1 when the target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load_generator", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="1 s at each rate instead of 10 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rates to a file")
    parser.add_argument(
        "--theory", action="store_true", help="print the queue M/D/1 and nothing else"
    )
    options = parser.parse_args(arguments)
    if options.theory:
        return _print_theory(options.json)
    rows = rows_of(1.0 if options.quick else 10.0)
    for row in rows:
        print(row)
    best = max((row.offered or 0.0 for row in rows if row.kept), default=0.0)
    missed = best < TARGET
    print(f"kept: {best:,.0f} requests/s (target: {TARGET:,.0f}){', MISSED' if missed else ''}")
    _write(options.json, [asdict(row) for row in rows])
    return int(missed)


def _print_theory(file: Path | None) -> int:
    rows = md1_table()
    for row in rows:
        print(
            f"load {row.load}  p{row.share * 100:.0f}  formula {row.formula:7.3f}  "
            f"simulated {row.simulated:7.3f} service times  ({row.error:+.2%})"
        )
    _write(file, [asdict(row) | {"error": row.error} for row in rows])
    return int(any(abs(row.error) > 0.02 for row in rows))


def _write(file: Path | None, rows: list[dict[str, Any]]) -> None:
    if file is not None:
        file.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
