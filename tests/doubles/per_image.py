"""A runtime that sleeps for 4 ms with a batch and 2 ms with each image: that needs no core."""

import time

from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime, OnnxSession


class PerImage(OnnxRuntime):
    """ONNX Runtime whose time grows with the batch."""

    name = "per_image"

    def optimizes_graph(self, _options):
        """Not looked at: what this runtime adds of its own would stand in for it."""
        return False

    def open(self, artifact, options, context):
        """A session of known speed."""
        return PerImageSession(artifact, options, context)


class PerImageSession(OnnxSession):
    """A session whose time is known from the batch's size."""

    def run(self, batch):
        """An inference, and then a wait."""
        end = time.perf_counter() + 0.004 + 0.002 * len(batch)
        outputs = super().run(batch)
        time.sleep(max(0.0, end - time.perf_counter()))
        return outputs
