"""Exports of frameworks run without the tracer of coverage.

An export by torch runs millions of lines of Python. On Python 3.11 a tracer slows all of them by
half, those of files that are not measured too.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import pytest

P = ParamSpec("P")
Result = TypeVar("Result")

EXPORTS = {
    "torch.export": ("export", "save", "load"),
    "torch.onnx": ("export",),
    "torch._inductor": ("aoti_compile_and_package", "aoti_load_package"),
    "torchao.quantization.pt2e.quantize_pt2e": ("prepare_pt2e", "prepare_qat_pt2e", "convert_pt2e"),
}
"""By module, as the steps call them. Of this package they call `forward` of modules alone."""


def untraced(function: Callable[P, Result]) -> Callable[P, Result]:
    """`function`, without the tracer of this thread until it returns."""

    @functools.wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> Result:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return function(*arguments, **options)
        finally:
            sys.settrace(tracer)

    return call


@contextlib.contextmanager
def exports_untraced() -> Iterator[None]:
    """For its time, where there is a tracer: imports the frameworks that are installed."""
    with pytest.MonkeyPatch.context() as patch:
        for name, functions in EXPORTS.items() if sys.gettrace() else ():
            with contextlib.suppress(ImportError):
                module = importlib.import_module(name)
                for function in functions:
                    patch.setattr(module, function, untraced(getattr(module, function)))
        yield
