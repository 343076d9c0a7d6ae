"""A runtime whose options are its speed, a shift of its boxes, and whether it opens at all."""

import time

from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime, OnnxSession


class Paced(OnnxRuntime):
    """ONNX Runtime at a pace."""

    name = "paced"

    class Options(OnnxRuntime.Options):
        """Seconds of an inference, pixels that boxes move, whether opening fails."""

        pace: float = 0.002
        shift: int = 0
        breaks: bool = False

    def optimizes_graph(self, _options):
        """Not looked at: what this runtime adds of its own would stand in for it."""
        return False

    def open(self, artifact, options, context):
        """A session at this pace.

        Raises:
            ValueError: the option `breaks` says so.
        """
        if options.breaks:
            raise ValueError("it broke")
        return PacedSession(artifact, options, context)


class PacedSession(OnnxSession):
    """A session whose inferences take `pace` seconds."""

    def __init__(self, artifact, options, context):
        super().__init__(artifact, options, context)
        self.options = options

    def run(self, batch):
        """The boxes moved by `shift`, after `pace` seconds."""
        end = time.perf_counter() + self.options.pace
        outputs = super().run(batch)
        time.sleep(max(0.0, end - time.perf_counter()))
        return outputs[0] + float(self.options.shift), outputs[1]
