#!/usr/bin/env bash
# torch.onnx.export forgets divisor_override, and verify=True logs the difference and returns the wrong file
#
# Versions     torch 2.13.0 (CPU), onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.31.1 (numpy 2.4.6, Python 3.11)
# Behaviour    avg_pool2d(x, 2, divisor_override=1) is how PyTorch adds up a window: its plain sum. Both exporters, the one of
#              today and that of TorchScript, write an AveragePool, which divides by 4: pixels of 1 are 4 in torch and 1 in
#              the file. Nothing is raised or warned of. With verify=True the exporter runs the file, finds the
#              difference, logs "a large relative difference of 0.750000" and a cross, and returns the program as if it
#              were right: a script that only asks whether the export ended sees success. avg_pool3d is the same.
# Output       2-d, mean:                 torch 1, ONNX Runtime 1
#              2-d, divisor_override=1:   torch 4, ONNX Runtime 1
#              2-d, the same, TorchScript: torch 4, ONNX Runtime 1
#              3-d, divisor_override=1:   torch 8, ONNX Runtime 1
#              verify=True:               no error; a cross on the terminal
# Wrong guess  "An argument that ONNX has no attribute for ends the export", and "verify=True raises where outputs differ".
# Source       Found by exporting 190 calls of torch.nn.functional and comparing. onnxscript, function_libs/torch_lib/ops/nn.py,
#              aten_avg_pool2d: "TODO: if want to support divisor_override argument, need to op.Mul(result, mask)".
#              torch/onnx/_internal/exporter/_core.py, export: step 6 logs the comparison, whatever comes of it.
# What to do   Write a sum as a mean times the window's size, and compare outputs in code of your own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cd "$work"
venv/bin/python - 2> /dev/null <<'PY'
import contextlib
import io
import sys

import onnxruntime
import torch
import torch.nn.functional as F


class Pool(torch.nn.Module):
    def __init__(self, pool, divisor):
        super().__init__()
        self.pool, self.divisor = pool, divisor

    def forward(self, x):
        return self.pool(x, 2, divisor_override=self.divisor)


def both(pool, divisor, dynamo=True):
    """The pool of ones, in torch and in the exported file."""
    module = Pool(pool, divisor).eval()
    ones = torch.ones(1, 1, 4, 4) if pool is F.avg_pool2d else torch.ones(1, 1, 4, 4, 4)
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(module, (ones,), "model.onnx", dynamo=dynamo)
    session = onnxruntime.InferenceSession("model.onnx")
    (output,) = session.run(None, {session.get_inputs()[0].name: ones.numpy()})
    return f"torch {module(ones).flatten()[0].item():g}, ONNX Runtime {output.ravel()[0]:g}"


def verified():
    """What is printed by an export that verifies, and does not raise."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        torch.onnx.export(
            Pool(F.avg_pool2d, 1).eval(), (torch.ones(1, 1, 4, 4),), dynamo=True, verify=True
        )
    return printed.getvalue()


observed = {
    "2-d, mean": both(F.avg_pool2d, None),
    "2-d, divisor_override=1": both(F.avg_pool2d, 1),
    "2-d, the same, TorchScript": both(F.avg_pool2d, 1, dynamo=False),
    "3-d, divisor_override=1": both(F.avg_pool3d, 1),
}
for name, text in observed.items():
    print(f"{name + ':':26} {text}")
crossed = "\N{CROSS MARK}" in verified()
print(f"{'verify=True:':26} no error; {'a' if crossed else 'no'} cross on the terminal")
right = ["torch 1, ONNX Runtime 1", *["torch 4, ONNX Runtime 1"] * 2, "torch 8, ONNX Runtime 1"]
if list(observed.values()) != right or not crossed:
    print("The behaviour changed.")
    sys.exit(1)
PY
