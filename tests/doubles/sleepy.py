"""A runtime whose inferences sleep for 10 ms: as waiting for a device does, that needs no core.

`SLEEPY` is a mode: "waits_for_others", only one session of the process sleeps at a time, or
"keeps_state", outputs depend on how many inferences there were before.
"""

import contextlib
import os
import threading
import time

from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime, OnnxSession

MODES = ("", "waits_for_others", "keeps_state")
ONE = threading.Lock()


class Sleepy(OnnxRuntime):
    """ONNX Runtime that sleeps first."""

    name = "sleepy"

    def optimizes_graph(self, _options):
        """Not looked at: what this runtime adds of its own would stand in for it."""
        return False

    def open(self, artifact, options, context):
        """A session that sleeps.

        Raises:
            ValueError: there is no such mode.
        """
        return SleepySession(artifact, options, context)


class SleepySession(OnnxSession):
    """A session in a mode."""

    def __init__(self, artifact, options, context):
        super().__init__(artifact, options, context)
        self.mode = os.environ.get("SLEEPY", "")
        if self.mode not in MODES:
            raise ValueError(f"SLEEPY={self.mode}: no such mode; valid: {', '.join(MODES)}")
        self.count = 0

    def run(self, batch):
        """An inference after 10 ms."""
        with ONE if self.mode == "waits_for_others" else contextlib.nullcontext():
            time.sleep(0.01)
        boxes, scores = super().run(batch)
        self.count += 1
        if self.mode == "keeps_state":  # moved boxes: scores are to stay between 0 and 1
            boxes = boxes + self.count
        return boxes, scores
