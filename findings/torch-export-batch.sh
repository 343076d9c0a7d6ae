#!/usr/bin/env bash
# torch.onnx.export freezes the batch that Dim("batch") declares dynamic, depending on the next line
#
# Versions     torch 2.13.0 (CPU), onnx 1.23.2, onnxscript 0.7.2 (Python 3.11)
# Behaviour    A head takes four of eight channels and flattens them. Exported with
#              dynamic_shapes={0: Dim("batch")} and an example of one image, the file's input is
#              [1, 3, 16, 16], fixed, and nothing is raised. A head that flattens all channels keeps
#              "batch" with the same example. The frozen one stays dynamic with an example of two
#              images, or when the name is the plain text "batch" in place of the Dim.
# Output       flatten, Dim, example of 1: batch
#              slice then flatten, Dim, example of 1: 1
#              slice then flatten, Dim, example of 2: batch
#              slice then flatten, text, example of 1: batch
# Wrong guess  "Dim is the strict form: torch.export raises when code specializes a declared
#              dimension." torch.export does raise; the exporter catches it.
# Source       Found because a detector's throughput could not be measured at other batches.
#              torch/onnx/_internal/exporter/_capture_strategies.py: on UserError the strategy calls
#              refine_dynamic_shapes_from_suggested_fixes and exports again; the suggested fix is
#              "batch = 1". Why slicing matters: memory of a sliced tensor is contiguous for a batch of
#              one only, and flatten asks for that.
# What to do   Use an example of two images, and check the input's shape in the file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 numpy==2.4.6
cd "$work"
venv/bin/python - 2>log.txt <<'PY' || { cat log.txt; exit 1; }
import sys

import torch


class Head(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.channels = channels

    def forward(self, x):
        return self.conv(x)[:, : self.channels].flatten(2)


def batch_of(channels, images, dimension):
    program = torch.onnx.export(
        Head(channels).eval(), (torch.zeros(images, 3, 16, 16),),
        dynamo=True, verbose=False, dynamic_shapes=({0: dimension},),
    )
    first = program.model_proto.graph.input[0].type.tensor_type.shape.dim[0]
    return first.dim_param or first.dim_value


dim = torch.export.Dim("batch")
cases = {
    "flatten, Dim, example of 1": (batch_of(8, 1, dim), "batch"),
    "slice then flatten, Dim, example of 1": (batch_of(4, 1, dim), 1),
    "slice then flatten, Dim, example of 2": (batch_of(4, 2, dim), "batch"),
    "slice then flatten, text, example of 1": (batch_of(4, 1, "batch"), "batch"),
}
for name, (observed, _) in cases.items():
    print(f"{name}: {observed}")
if any(observed != expected for observed, expected in cases.values()):
    sys.exit("The behaviour changed.")
PY
