"""The program that workers of tests are forked from: `python -P tests/worker_template.py SOCKET
[FRAMEWORK...]`.

It has imported what each worker imports before it reads its job, and nothing of the project, and
waits for orders at the socket of that descriptor. Frameworks are imported too, and hidden: a worker
has them when it imports them. `tests/forked_workers.py` is the other side. It is a script and no
module of a package: in a worker nothing of the tests is imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import importlib
import importlib.abc
import json
import os
import runpy
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_FIRST_FREE = 500
"""Descriptors from here on are of no worker: one is passed a few small numbers."""
_PR_SET_PDEATHSIG = 1


def serve(orders: socket.socket) -> None:
    """Forks a worker for each order, and answers with its process id, until the socket ends."""
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, 1 << 20, 3)
        if not order:
            return
        child = os.fork()
        if child == 0:
            worker = os.fork()
            if worker == 0:
                _become_worker(json.loads(order), descriptors, orders)
            orders.send(b"%d" % worker)
            os._exit(0)
        # An orphan from here on: the process of tests adopts the worker.
        os.waitpid(child, 0)
        for descriptor in descriptors:
            os.close(descriptor)
        orders.send(b"adopted")


def _become_worker(order: dict[str, Any], descriptors: list[int], orders: socket.socket) -> None:
    """Makes this process one as `subprocess.Popen` would have started, and runs the worker."""
    try:
        orders.close()
        kept = [fcntl.fcntl(one, fcntl.F_DUPFD, _FIRST_FREE) for one in descriptors]
        os.closerange(3, _FIRST_FREE)
        read, write, log = kept
        for held, wanted in ((read, order["read"]), (write, order["write"]), (log, 1), (log, 2)):
            os.dup2(held, wanted)
        os.closerange(_FIRST_FREE, max(kept) + 1)
        os.setsid()
        os.sched_setaffinity(0, order["cores"])
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["env"])
        if folders := order["env"].get("PYTHONPATH"):
            sys.path[:0] = dict.fromkeys(map(os.path.abspath, folders.split(os.pathsep)))
        sys.dont_write_bytecode = bool(order["env"].get("PYTHONDONTWRITEBYTECODE"))
        importlib.invalidate_caches()
        while os.getppid() != order["parent"]:  # until it is adopted
            time.sleep(0.0005)
        sys.argv[1:] = order["arguments"]
        sys.orig_argv[:] = order["command"]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        runpy.run_module("pytest_perfgate.worker", run_name="__main__", alter_sys=True)
    except BaseException:  # noqa: BLE001 - its log is read where a worker dies
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(70)  # a worker never comes back from its work


JOBS = ("prepare", "compare", "launch", "parity", "profile", "memory_growth", "soak", "data_keys")
"""Modules of which a worker imports the one that does its job."""
OWN = ("dispatch", "arm_process")
USED = (
    *("runtimes.onnxruntime", "sources.onnx", "tasks.classification", "tasks.detection"),
    *("tasks.decoders", "tasks.pixels.preprocessing", "workloads.images"),
)


def _import() -> None:
    """What workers import, and the validators of what they are sent and send. The modules of jobs
    are forgotten, after what they import: which of them is there says what a worker is for.
    """
    gc.disable()
    for name in (*(f"worker.{name}" for name in (*OWN, *JOBS)), *USED):
        importlib.import_module(f"pytest_perfgate.{name}")
    for name in JOBS:
        del sys.modules[f"pytest_perfgate.worker.{name}"]
        delattr(sys.modules["pytest_perfgate.worker"], name)
    from pytest_perfgate import registry, tasks
    from pytest_perfgate.building import implementation_code, package_versions
    from pytest_perfgate.machine.pipes import UnknownMessage, Vocabulary
    from pytest_perfgate.worker import protocol
    from pytest_perfgate.worker.arm_messages import ARM_MESSAGES

    for vocabulary in (protocol.JOBS, protocol.PLANS, protocol.MESSAGES, ARM_MESSAGES):
        known: Vocabulary[Any] = vocabulary
        for name in known.names:
            with contextlib.suppress(UnknownMessage):
                known.decode(f"{name} {{}}".encode())
    registry.names(registry.RUNTIMES)
    # What keys are made of and is the same in all workers: modules that a package on a folder of
    # the path has, names that a module's code imports.
    for folder in sys.path:
        package_versions._top_levels_in(folder)
    for file in Path(str(tasks.__file__)).parent.rglob("*.py"):
        implementation_code._imported_names(file.read_bytes())


@dataclass
class _Group:
    """What one import has brought: modules by name, and those among them that are attributes of
    modules that were there before. `package` is the top-level package that was imported.
    """

    package: str
    modules: dict[str, ModuleType]
    attributes: list[tuple[ModuleType, str, ModuleType]]


class Hidden(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules that were imported and are not in `sys.modules`: the first import of one brings
    all that were imported with it, and one of what a framework rests on those of the same package
    alone. Modules of Python itself are not hidden.
    """

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._specs: dict[str, ModuleSpec | None] = {}

    def hide(self, framework: str) -> None:
        """Imports a module, if it is installed, and hides it and what came with it."""
        before = set(sys.modules)
        with contextlib.suppress(ImportError):
            importlib.import_module(framework)
        new = {
            name: module
            for name, module in sys.modules.items()
            if name not in before and name.partition(".")[0] not in sys.stdlib_module_names
        }
        attributes = []
        for name, module in new.items():
            parent, _, child = name.rpartition(".")
            above = sys.modules.get(parent)
            if above is not None and vars(above).get(child) is module and parent not in new:
                attributes.append((above, child, module))
        group = _Group(_package(framework), new, attributes)
        for name, module in new.items():
            self._groups.setdefault(name, group)
            self._specs.setdefault(name, getattr(module, "__spec__", None))
            del sys.modules[name]
        for above, child, _ in attributes:
            delattr(above, child)

    def find_spec(
        self, name: str, _path: object = None, _target: object = None
    ) -> ModuleSpec | None:
        """One whose loader gives the module that is hidden."""
        return ModuleSpec(name, self) if name in self._groups else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The hidden one."""
        return self._groups[spec.name].modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Puts back what was imported with it, and what the import system has just replaced."""
        assert module.__spec__ is not None
        imported = module.__spec__.name
        with contextlib.suppress(AttributeError):  # some modules of settings take no other names
            module.__spec__ = self._specs[imported]
        group, package = self._groups[imported], _package(imported)
        everything = package == group.package
        for name, each in group.modules.items():
            if everything or _package(name) == package:
                sys.modules.setdefault(name, each)
        for above, child, each in group.attributes:
            if everything or _package(above.__name__) == package:
                setattr(above, child, each)


def _package(module: str) -> str:
    return module.partition(".")[0]


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import()
    hidden = Hidden()
    sys.meta_path.insert(0, hidden)
    for framework in sys.argv[2:]:
        hidden.hide(framework)
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
