"""The smallest file that a suite's model may be, for tests that read suites and run nothing."""

IMAGES = bytes.fromhex("0808 3a0b 5a09 0a0178 1204 0a02 0801")
"""An ONNX graph with one input `x`, float of any shape: IR version 8, graph, input, name, type."""
