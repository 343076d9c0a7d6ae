"""What a worker imports before its job: a session starts several, and each takes the time again."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("job", ["prepare", "compare", "launch", "arm_process"])
def test_a_worker_imports_no_scipy_before_it_needs_it(job: str) -> None:
    """SciPy takes 0.1 s of the 0.3 s that a worker needs to start."""
    code = f"import pytest_perfgate.worker.{job}, sys; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
