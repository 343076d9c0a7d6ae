"""A worker's side: `python -P -m pytest_perfgate.worker JOB_FD MESSAGE_FD PARENT_PID`."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pytest_perfgate.machine.parent_death import die_with
from pytest_perfgate.worker.protocol import failure


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
            from pytest_perfgate.worker.launch import launch

            launch(work, more, send)
        elif kind == "arm":
            from pytest_perfgate.worker.launch import run_arm

            run_arm(work, message_fd)
        else:
            from pytest_perfgate.worker.memory_growth import growth
            from pytest_perfgate.worker.parity import parity
            from pytest_perfgate.worker.prepare import compare, prepare
            from pytest_perfgate.worker.profile import profile

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
