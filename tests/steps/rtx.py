"""Options for the package tensorrt_rtx; a test module that imports them is skipped without it."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_perfgate.steps.tensorrt import TensorRt as Step

INSTALL = "python -m pip install 'pytest-perfgate[torch,onnx,tensorrt_rtx]'"
for _name in ("torch", "onnxruntime", "tensorrt_rtx"):
    pytest.importorskip(_name, reason=INSTALL)


def options(**more: Any) -> Any:
    """For the package that is here."""
    return Step.Options(**{"package": "tensorrt_rtx", **more})
