"""Workers of tests' sessions are forked from one that has imported what each of them imports.

An interpreter that starts and imports pydantic, numpy and the package takes longer than what most
workers of tests do, and there are hundreds of them. `tests/worker_template.py` does that once for a
process of tests. What it forks is as `subprocess.Popen` would have started it: a child of the
process of tests, with the command's arguments, folder, environment variables, import path and
descriptors. Tests that are `alone`, those of `process=True`, and whatever asks for an environment
that an interpreter takes in at its start, have workers of their own programs, as users have.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_perfgate.machine import piped_process
from pytest_perfgate.worker.protocol import worker_command

_TEMPLATE = Path(__file__).with_name("worker_template.py")
_PR_SET_CHILD_SUBREAPER = 36
_WORKER = worker_command(sys.executable, 0, 0)[:-4]

_TAKEN_AT_START = re.compile(
    r"PYTHON(?!PATH$|DONTWRITEBYTECODE$).*|PYDANTIC_.*|(LD|DYLD|MALLOC|GLIBC|GOMP|KMP|OPENBLAS)_.*"
    r"|(TORCH|ORT|HF)_?.*|.*_NUM_THREADS|LANG|LC_.*|TZ"
)
"""Names of environment variables that an interpreter, its C library or numpy reads but once."""


OF_ONNX = ("PIL.Image", "faster_coco_eval", "onnx", "onnxruntime")
"""What a template for suites of ONNX files has, of what its process of tests has imported."""

FRAMEWORKS = (*OF_ONNX, "torch", "torch._dynamo", "onnxscript", "sklearn.metrics", "nncf")
"""What a template for all others has besides: a fork of it, and each fork of what is forked from
it, copies the page tables of a gigabyte of libraries.
"""

_ONNX_FILE = re.compile(r'^model\s*=\s*"[^":]+\.onnx"$', re.MULTILINE)
_NEEDS_TORCH = re.compile("torch|loader|training|backbone|openvino")


def frameworks_of(folder: Path) -> tuple[str, ...]:
    """What workers of a project's suites may well import: of ONNX files without a word of torch,
    little. Where that is wrong, a worker imports the rest for itself.
    """
    files = [file for depth in ("", "*/", "*/*/") for file in folder.glob(f"{depth}recipes.toml")]
    texts = [file.read_text(errors="replace") for file in files]
    small = all(_ONNX_FILE.search(text) and not _NEEDS_TORCH.search(text) for text in texts)
    return OF_ONNX if texts and small else FRAMEWORKS


class Forked:
    """A worker that was forked, with the methods of `subprocess.Popen` that are asked of it."""

    def __init__(self, pid: int, args: Sequence[str]) -> None:
        self.pid = pid
        self.args = args
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        self._look(os.WNOHANG)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not, after `timeout` seconds.
        """
        end, pause = time.monotonic() + (timeout or 0.0), 0.0005
        self._look(0 if timeout is None else os.WNOHANG)
        while self.returncode is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
            self._look(os.WNOHANG)
        return self.returncode

    def terminate(self) -> None:
        """Asks it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def _look(self, options: int) -> None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, options)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)


class Template:
    """The process that workers are forked from, for a job's environment variables.

    Args:
        env: of the jobs.
        frameworks: that it has for them, where this process has imported them.

    Attributes:
        forked: how many workers it forked.
    """

    def __init__(self, env: Mapping[str, str], frameworks: Sequence[str]) -> None:
        self.forked = 0
        known = [name for name in frameworks if name in sys.modules]
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_TEMPLATE), str(theirs.fileno()), *known],
                env={name: value for name, value in env.items() if name != "PYTHONPATH"},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def fork(
        self,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        log: Path,
        descriptors: tuple[int, int],
    ) -> Forked:
        """Starts a worker, as `piped_process` does."""
        order = {
            "command": list(command),
            "arguments": list(command[len(_WORKER) :]),
            "folder": str(folder),
            "env": dict(env),
            "read": descriptors[0],
            "write": descriptors[1],
            "cores": sorted(os.sched_getaffinity(0)),
            "parent": os.getpid(),
        }
        with log.open("wb") as out, _adopting():
            message = [json.dumps(order).encode()]
            socket.send_fds(self._orders, message, [*descriptors, out.fileno()])
            pid = int(self._orders.recv(64))
            self._orders.recv(64)
        self.forked += 1
        return Forked(pid, command)

    def end(self) -> None:
        """Ends the template; workers that it forked live on."""
        self._orders.close()
        self._process.wait()


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Meanwhile orphans below this process become its children."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


_Wanted = tuple[frozenset[tuple[str, str]], tuple[str, ...]]


class Templates:
    """Starts workers: forked, from the second one on that asks for the same variables and the same
    frameworks.

    Use as a context manager: on the way out the templates end.
    """

    def __init__(self) -> None:
        self._templates: dict[_Wanted, Template | None] = {}
        self._start = piped_process._start

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        log: Path,
        descriptors: tuple[int, int],
    ) -> Forked | subprocess.Popen[bytes]:
        """In the place of `piped_process._start`."""
        template = self._of(command, folder, env)
        if template is None:
            return self._start(command, folder, env, log, descriptors)
        return template.fork(command, folder, env, log, descriptors)

    def _of(self, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Template | None:
        path = [Path(each) for each in env.get("PYTHONPATH", "").split(os.pathsep)]
        customized = any((each / "sitecustomize.py").exists() for each in path)
        worker = list(command[: len(_WORKER)]) == _WORKER
        if customized or not worker or sys.platform != "linux":
            return None
        taken = frozenset(
            (name, value) for name, value in env.items() if _TAKEN_AT_START.fullmatch(name)
        )
        frameworks = frameworks_of(folder)
        wanted = taken, frameworks
        if wanted not in self._templates:
            self._templates[wanted] = None
        elif self._templates[wanted] is None:
            self._templates[wanted] = Template(env, frameworks)
        return self._templates[wanted]

    @property
    def templates(self) -> list[Template | None]:
        """One for each set of variables and frameworks that was asked for, None where one worker
        asked for it.
        """
        return list(self._templates.values())

    def __enter__(self) -> Templates:
        return self

    def __exit__(self, *_: object) -> None:
        for template in filter(None, self.templates):
            template.end()
