"""A runtime that does what ONNX Runtime does, unless environment variables say otherwise.

`MOODY` is the mode of every recipe without one of its own (the option `mode`), one of `AT_OPENING`
or `AT_RUNNING`; `MOODY_STAGE` is where a mode of `AT_OPENING` begins: "launch" (the default) or
"evaluate" for everywhere. `MOODY_SECONDS` is what an inference takes at least, `MOODY_LEAK` bytes
that a session occupies, `MOODY_KEEP` bytes that every inference leaves occupied.
"""

import ctypes
import fcntl
import os
import sys
import time
from pathlib import Path

from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime, OnnxSession
from typing_extensions import override

PAGE = 4096


def raises():
    """An exception of user code."""
    raise ValueError("moody today")


def runs_out_of_memory():
    """An allocation that fails."""
    raise MemoryError


AT_OPENING = {
    "crashes": lambda: ctypes.string_at(0),
    "raises": raises,
    "is_killed": lambda: os.kill(os.getpid(), 9),
    "runs_out_of_memory": runs_out_of_memory,
    "hangs": lambda: time.sleep(600),
    "exits": lambda: os._exit(3),
    "reads_a_file": lambda: Path("turns.txt").read_text(),
}


def halved_scores(outputs):
    """Order and threshold are kept."""
    return outputs[0], outputs[1] * 0.5 + 0.025


AT_RUNNING = {
    "finds_nothing": lambda outputs: (outputs[0], outputs[1] * 0.0),
    "knows_one_class": lambda outputs: (outputs[0] * 0.0 + [1.0, 0.0, 0.0],),
    "knows_one_channel": lambda outputs: (outputs[0] * 0.0 + [[[9.0]], *[[[0.0]]] * 3],),
    "gives_zeros": lambda outputs: (outputs[0] * 0.0,),
    "halves_scores": halved_scores,
    "shifts_boxes": lambda outputs: (outputs[0] + 6.0, outputs[1]),
}

BY_BATCH = {"takes_one_image", "fails_on_white", "blind_in_light"}
OF_REPLICAS = {
    "waits_for_others",
    "shares_a_core",
    "second_is_killed",
    "second_hangs",
    "second_raises",
}


ELSEWHERE = ("prepare", "compare", "parity", "memory_growth", "profile")
"""Modules of `pytest_perfgate.worker` that a process of another job has imported."""


def in_launch():
    """Whether this process is an arm of a launch, or what an arm has started."""
    return not any(f"pytest_perfgate.worker.{name}" in sys.modules for name in ELSEWHERE)


class Moody(OnnxRuntime):
    """ONNX Runtime in a mode."""

    name = "moody"

    class Options(OnnxRuntime.Options):
        """A mode, for sessions of recipes in several; "" for that of `MOODY`."""

        mode: str = ""

    @override
    def requires_with(self, options):
        """As on a machine with a GPU: nothing is skipped for want of one."""
        return self.requires

    def optimizes_graph(self, _options):
        """Not looked at: what this runtime adds of its own would stand in for it."""
        return False

    def open(self, artifact, options, context):
        """A session that misbehaves as the environment says."""
        return MoodySession(artifact, options, context)


class MoodySession(OnnxSession):
    """A session of ONNX Runtime in a mode."""

    def __init__(self, artifact, options, context):
        super().__init__(artifact, options, context)
        self.mode = options.mode or os.environ.get("MOODY", "")
        known = AT_OPENING.keys() | AT_RUNNING.keys() | BY_BATCH | OF_REPLICAS | {""}
        if self.mode not in known:  # a test that misspells one would pass for the wrong reason
            raise ValueError(f"MOODY={self.mode}: no such mode; valid: {', '.join(sorted(known))}")
        self.kept = []
        self.runs = 0
        basic = options.graph_optimization == "basic"
        self.waits = basic and self.mode == "waits_for_others"
        self.leaked = bytearray(int(float(os.environ.get("MOODY_LEAK", "0"))))
        for page in range(0, len(self.leaked), PAGE):
            self.leaked[page] = 1
        if in_launch() or os.environ.get("MOODY_STAGE", "launch") != "launch":
            AT_OPENING.get(self.mode, lambda: None)()

    def run(self, batch):
        """An inference, or what the mode makes of it."""
        if self.waits:  # for a lock that every process needs
            return self.infer_alone(batch)
        if in_launch() and self.mode == "shares_a_core":
            os.sched_setaffinity(0, {0})
        if self.mode.startswith("second") and in_launch() and 0 not in os.sched_getaffinity(0):
            self.runs += 1
            if self.runs > 4:
                self.end_badly()
        return self.infer(batch)

    def infer_alone(self, batch):
        """While no other process does. Who had to wait takes four times as long, as on a device
        that is handed over, and who has finished lets others in before it comes again.
        """
        with Path("moody.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                handed_over = False
            except BlockingIOError:
                fcntl.flock(lock, fcntl.LOCK_EX)
                handed_over = True
            start = time.perf_counter()
            outputs = self.infer(batch)
            if handed_over:
                time.sleep(3 * (time.perf_counter() - start))
        time.sleep(0.001)
        return outputs

    def end_badly(self):
        """How the second of two replicas ends."""
        if self.mode == "second_is_killed":
            os.write(1, b"these are its last words\n")
            os.kill(os.getpid(), 9)
        if self.mode == "second_hangs":
            time.sleep(600)
        raise ValueError("the second is moody")

    def infer(self, batch):
        """At least `MOODY_SECONDS`, its outputs changed as the mode says."""
        start = time.perf_counter()
        outputs = super().run(batch)
        self.kept.append(bytearray(b"x" * int(os.environ.get("MOODY_KEEP", "0"))))
        end = start + float(os.environ.get("MOODY_SECONDS", "0.002"))
        # As for a device, without a need for a core: neighbours take nothing from it.
        time.sleep(max(0.0, end - time.perf_counter()))
        if self.mode == "takes_one_image" and len(batch) > 1:  # only ever exported for one
            raise RuntimeError("index 0: Got 2 Expected 1")
        if self.mode == "fails_on_white" and batch.images.min() > 0.95:
            return AT_RUNNING["finds_nothing"](outputs)
        if self.mode == "blind_in_light":  # as when ranges are known from darker images alone
            light = batch.images.mean(axis=(1, 2, 3)) > 0.4
            return outputs[0], outputs[1] * ~light[:, None, None]
        return AT_RUNNING.get(self.mode, lambda outputs: outputs)(outputs)
