#!/usr/bin/env bash
# After `import pip`, torch.compile fails in that process with an AssertionError that names a path
#
# Versions     torch 2.13.0 (CPU), setuptools 84.2.1, pip 25.3 (Python 3.11)
# Behaviour    A program that has imported pip (to read its version, or by pytest.importorskip("pip"))
#              can no longer compile for the CPU: the message is the path of the standard library's
#              distutils/core.py, and nothing else. Without setuptools' start-up file, or with
#              setuptools imported first, the same program compiles. Python 3.12 has no distutils and
#              is not affected.
# Output       torch alone: compiles
#              pip, then torch: InductorError: AssertionError: .../distutils/core.py
#              setuptools, then pip, then torch: compiles
# Wrong guess  "pip is only a library like others; looking at its version changes nothing." And on
#              reading the message: "the Python installation is broken, or distutils-precedence.pth is."
# Source       Found when tests of compiled models failed after an unrelated test had asked for pip.
#              setuptools' _distutils_hack: the finder that puts setuptools' own distutils in place of
#              the standard one switches itself off for good when pip is imported (spec_for_pip, made
#              for pip's own processes). torch's inductor imports setuptools when it looks for a
#              compiler; setuptools then asserts that distutils is its own.
# What to do   Ask importlib.metadata.version("pip"); never import pip in a process that compiles.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --upgrade pip==25.3
"$work/venv/bin/pip" install --quiet torch==2.13.0 setuptools==84.2.1 numpy==2.4.6
cd "$work"
cat >compile.py <<'PY'
import importlib
import sys

for name in sys.argv[1:]:
    importlib.import_module(name)

import torch

try:
    torch.compile(lambda x: torch.sin(x) * 2)(torch.ones(4096))
except Exception as error:
    last = str(error).splitlines()[0]
    print(f"{type(error).__name__}: {last.split(': ')[0]}: ...{last[last.index('/distutils/'):]}")
else:
    print("compiles")
PY
run() { TORCHINDUCTOR_CACHE_DIR=$(mktemp -d -p "$work") venv/bin/python compile.py "$@" 2>/dev/null; }
plain=$(run) pip=$(run pip) first=$(run setuptools pip)
echo "torch alone: $plain"
echo "pip, then torch: $pip"
echo "setuptools, then pip, then torch: $first"
[[ $plain == compiles && $pip == "InductorError: AssertionError: .../distutils/core.py" && $first == compiles ]] ||
    { echo "The behaviour changed."; exit 1; }
