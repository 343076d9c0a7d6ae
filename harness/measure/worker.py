"""A worker's side: `python -P -m harness.measure.worker JOB_FD MESSAGE_FD PARENT_PID`."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import PerfgateError
from harness.orphans import die_with

Send = Callable[[dict[str, Any]], None]


def failure(error: BaseException) -> dict[str, Any]:
    """An error as a message: a `PerfgateError` in its own words, anything else with its trace."""
    if isinstance(error, PerfgateError):
        problem = f"{error.where}: {error.problem}" if error.where else error.problem
        if error.valid:
            problem += f" (valid: {error.valid})"
        return {
            "type": "failed",
            "problem": problem,
            "next_step": error.next_step,
            "last_words": "",
        }
    if isinstance(error, MemoryError):
        return {
            "type": "failed",
            "problem": "it ran out of memory",
            "next_step": "free memory, or make the recipe smaller",
            "last_words": traceback.format_exc(limit=-4),
        }
    return {
        "type": "failed",
        "problem": f"it raised {type(error).__name__}: {error}",
        "next_step": "the last words show where",
        "last_words": traceback.format_exc(limit=-6),
    }


def main() -> int:
    """Reads the job, does it, sends what there is to say."""
    job_fd, message_fd, parent = (int(text) for text in sys.argv[1:4])
    die_with(parent)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pytest process decides when this one ends
    pipe = os.fdopen(job_fd, "rb")
    job = json.loads(pipe.readline())
    os.set_inheritable(job_fd, False)
    os.set_inheritable(message_fd, False)

    def send(message: dict[str, Any]) -> None:
        data = json.dumps(message, allow_nan=False).encode() + b"\n"
        while data:
            data = data[os.write(message_fd, data) :]

    def more() -> dict[str, Any]:
        line = pipe.readline()
        if not line:  # it was started ahead, and is not needed any more
            os._exit(0)
        rest: dict[str, Any] = json.loads(line)
        return rest

    kind, work = job["kind"], job["work"]
    try:
        if kind == "launch":
            from harness.measure.launch import launch

            launch(work, more, send)
        elif kind == "arm":
            from harness.measure.launch import run_arm

            run_arm(work, message_fd)
        else:
            from harness.measure.growth import growth
            from harness.measure.parity import parity
            from harness.measure.prepare import compare, prepare
            from harness.measure.profiling import profile

            sys.path.insert(0, str(Path.cwd()))
            does = {
                "prepare": prepare,
                "compare": compare,
                "parity": parity,
                "growth": growth,
                "profile": profile,
            }
            does[kind](work, send)
    except Exception as error:  # noqa: BLE001 - whatever user code raises ends this recipe only
        send(failure(error))
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Frameworks' threads and destructors have crashed or hung here; everything has been sent.
    os._exit(code)
