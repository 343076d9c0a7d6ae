#!/usr/bin/env bash
# ONNX Runtime takes any configuration entry of a session, and any value of one, without a word
#
# Versions     onnxruntime 1.31.1, onnx 1.23.2, numpy 2.4.6 (Python 3.11)
# Behaviour    add_session_config_entry("session.intra_op.allow_spining", "0"), one letter short,
#              raises nothing and logs nothing; threads go on spinning after each inference. The
#              session answers get_session_config_entry of that name with "0", as if it were known.
#              The right name with the value "true" does not spin: only "1" is yes.
#              An unknown attribute of SessionOptions is an AttributeError.
# Output       right name, "0": ends
#              right name, "1": spins
#              right name, "true": ends
#              wrong name, "0": spins; it reads back 0
#              attribute: AttributeError
# Wrong guess  "An entry that reads back is one that is used."
# Source       Found because recipes may say any entry. onnxruntime/core/framework/config_options.cc
#              keeps a map of texts; names are known where they are looked up.
# What to do   Look the name up in the shared library of the installed version: a name that is not
#              there between two zero bytes is not known. Compare CPU time with and without.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

weights = numpy_helper.from_array(np.ones((1024, 1024), np.float32), "w")
x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [256, 1024])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [256, 1024])
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
opsets = [helper.make_opsetid("", 17)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
SPINNING = "session.intra_op.allow_spinning"
WRONG = "session.intra_op.allow_spining"


def threads(name, value):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry(name, value)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    batch = np.ones((256, 1024), np.float32)
    spent = []
    for _ in range(15):
        session.run(None, {"x": batch})
        before = time.process_time()
        time.sleep(0.01)
        spent.append(time.process_time() - before)
    said = session.get_session_options().get_session_config_entry(name)
    # What the second thread spends while this one sleeps after an inference.
    return ("spins" if sorted(spent)[len(spent) // 2] > 0.0005 else "ends"), said


right, _ = threads(SPINNING, "0")
on, _ = threads(SPINNING, "1")
value, _ = threads(SPINNING, "true")
wrong, said = threads(WRONG, "0")
try:
    onnxruntime.SessionOptions().allow_spining = False
    attribute = "taken"
except AttributeError:
    attribute = "AttributeError"
print(f'right name, "0": {right}\nright name, "1": {on}\nright name, "true": {value}')
print(f'wrong name, "0": {wrong}; it reads back {said}\nattribute: {attribute}')
observed = right, on, value, wrong, said, attribute
if observed != ("ends", "spins", "ends", "spins", "0", "AttributeError"):
    sys.exit("The behaviour changed.")
PY
