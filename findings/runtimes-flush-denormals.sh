#!/usr/bin/env bash
# A runtime that may flush denormals makes Python and NumPy lose theirs, for the rest of the process
#
# Versions     openvino 2026.4.1 (CPU plugin), onnxruntime 1.31.1, onnx 1.23.2 (numpy 2.4.6, Python 3.11), x86-64
# Behaviour    OpenVINO's CPU_DENORMALS_OPTIMIZATION and ONNX Runtime's session.set_denormal_as_zero set two bits of
#              the floating-point unit, in the thread that compiles or opens the model. Nothing is run, and the
#              model is deleted again: from then on 5e-324 is 0.0 for Python's own floats, numpy halves 1e-310 to
#              0.0, and threads that are started later inherit it. A second session without the option does not
#              bring them back.
# Output       before: 5e-324, numpy 5e-311
#              openvino compiled: 0.0, numpy 0.0; in a new thread 0.0; model deleted: 0.0
#              before: 5e-324, numpy 5e-311
#              onnxruntime opened: 0.0, numpy 0.0; in a new thread 0.0; session deleted: 0.0
# Wrong guess  "An option of a session is about that session's work", or at least about its own threads. Code that
#              has nothing to do with the model (a statistics library's smallest float, a property test of floats,
#              softmax of very negative logits) is wrong afterwards, only where the model was opened before it.
# Source       Found because property tests failed with numbers that only a test of settings, far away in the same
#              process, had made impossible. Both runtimes write MXCSR (flush to zero, denormals are zero); the
#              register is the thread's, and a new thread begins with a copy of its creator's.
# What to do   Open such a session in a process, or at least a thread, of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cd "$work"
export CI=true ORT_DISABLE_TELEMETRY=1  # no telemetry
cat > look.py <<'PY'
import gc
import sys
import threading

import numpy as np
import onnx
from onnx import TensorProto, helper

runtime = sys.argv[1]
value = helper.make_tensor_value_info
graph = helper.make_graph(
    [helper.make_node("Abs", ["x"], ["y"])],
    "abs",
    [value("x", TensorProto.FLOAT, [1, 2])],
    [value("y", TensorProto.FLOAT, [1, 2])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
onnx.checker.check_model(model)
onnx.save(model, "abs.onnx")
small, smallest = np.array([1e-310]), [5e-324]


def own():
    return smallest[0] * 1.0


def halved():
    return (small * 0.5).item()


def in_thread():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(own()))
    thread.start()
    thread.join()
    return seen[0]


before = own(), halved()
print(f"before: {before[0]}, numpy {before[1]}")
if runtime == "openvino":
    import openvino

    did, what = "compiled", "model"
    opened = openvino.Core().compile_model("abs.onnx", "CPU", {"CPU_DENORMALS_OPTIMIZATION": True})
else:
    import onnxruntime

    did, what = "opened", "session"
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    opened = onnxruntime.InferenceSession("abs.onnx", options)
after = own(), halved(), in_thread()
del opened
gc.collect()
print(
    f"{runtime} {did}: {after[0]}, numpy {after[1]}; in a new thread {after[2]}; {what} deleted: {own()}"
)
if before != (5e-324, 5e-311) or after != (0.0, 0.0, 0.0) or own() != 0.0:
    sys.exit("The behaviour changed.")
PY
venv/bin/python look.py openvino
venv/bin/python look.py onnxruntime
